"""A queue of 60 tickets in three scopes, as a shop with two brands might have it; the screens in the wiki are of it.

python tests/cli/sixty.py DIR    makes a repository there
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

CONFIG = """\
slots = 8
[target]
remote = ""
[agents.default]
preset = "scripted"
[scopes.acme]
paths = ["/brands/acme/**"]
[scopes.globex]
paths = ["/brands/globex/**"]
"""
AREAS = ("cart", "checkout", "mail", "search", "stock", "users")
PARTS = ("home", "prices", "theme", "store", "help", "news")
WORK = ("tidy", "tests", "speed", "errors")
SIZES = "SSSMMMML"


def tickets() -> Iterator[tuple[str, str]]:
    """Path and text of each."""
    rng = Random(7)
    for work in WORK:
        for area in AREAS:
            touches = [f"/src/{area}/**"] if work in ("tidy", "speed") else [f"/src/{area}/{work}.js", "/src/log.js"]
            needs = [f"{area}-tidy"] if work == "tests" else []
            yield f"{area}-{work}.md", text(rng, touches if rng.random() < 0.3 else touches[:1], needs)
    for brand in ("acme", "globex"):
        for number, part in enumerate(PARTS * 3):
            name = f"{brand}-{part}-{number // len(PARTS) + 1}"
            needs = ["users-tidy"] if name.endswith("store-2") else []
            touches = [f"/brands/{brand}/{part}.*"] if rng.random() < 0.7 else [f"/brands/{brand}/{part}/{name}/**"]
            yield f"{brand}/{name}.md", text(rng, touches, needs)


def text(rng: Random, touches: list[str], needs: list[str]) -> str:
    priority = rng.choices(("high", "normal", "low"), (1, 4, 1))[0]
    front = [f"priority: {priority}", f"size: {rng.choice(SIZES)}", f"touches: {touches}"]
    return "\n".join(["---", *front, f"depends_on: {needs}", "---", "# Do it", ""])


def write(root: Path) -> None:
    """Ticket files and configuration."""
    (root / "ticketd.toml").write_text(CONFIG)
    for path, content in tickets():
        file = root / "tickets" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


if __name__ == "__main__":
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", sys.argv[1]], check=True)
    write(Path(sys.argv[1]))
