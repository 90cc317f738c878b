"""The hosts of pull requests, each by its own program. A static registry: which of them a remote is at."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from ticketd.domain.settings import ForgeName
from ticketd.forges.gh import Gh
from ticketd.forges.glab import Glab
from ticketd.forges.program import Program
from ticketd.ports import Forge, Refused

HOSTS = {ForgeName.GH: "github", ForgeName.GLAB: "gitlab"}
"""What the name of a host that a program is for most often has in it."""

_URL = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?(?P<host>[^:/]+\.[^:/]+)(?::\d+)?[:/](?P<path>[^:]+?)(?:\.git)?/?")


def forge_of(name: ForgeName, url: str, root: Path, environ: Mapping[str, str]) -> Forge | Refused:
    """The forge that `url`, the remote of the checkout in `root`, is at; or why there is none. Its program is looked
    for in `environ` and gets all of that: it works for the user, and logs in as they do."""
    installed = [each for each in HOSTS if shutil.which(each, path=environ.get("PATH"))]
    chosen = _choose(name, url, installed)
    if chosen is None and installed:
        return Refused("`gh` and `glab` are both on PATH, and the remote's host tells neither; name one as `forge`")
    if chosen is None:
        return Refused(
            "no program to open pull requests with was found; install `gh` or `glab`, and name it as `forge`"
        )
    if chosen not in installed:
        return Refused(f"`{chosen}` is not on PATH; install it and log in by `{chosen} auth login`")
    program = Program(chosen, root, environ)
    return Gh(program, slug(url)) if chosen is ForgeName.GH else Glab(program, slug(url))


def _choose(name: ForgeName, url: str, installed: list[ForgeName]) -> ForgeName | None:
    if name is not ForgeName.AUTO:
        return name
    host = (slug(url) or "").partition("/")[0]
    fit = [each for each, word in HOSTS.items() if word in host]
    return next(iter(fit or installed if len(fit or installed) == 1 else []), None)


def slug(url: str) -> str | None:
    """`host/owner/name` of a URL; None where that has no real host (a path, an alias of ssh): then the program finds
    out by the checkout, as it does for a person."""
    match = _URL.fullmatch(url)
    return None if match is None or url.startswith((".", "/")) else f"{match['host']}/{match['path'].lstrip('/')}"
