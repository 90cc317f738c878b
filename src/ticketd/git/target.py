"""The branch that work lands on, at a remote. An exit code is a hint, the remote's own word is the truth: a server
killed after it has moved the branch makes `git push` fail although the work has landed (measured on git 2.39)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ticketd.errors import BadInput
from ticketd.git.control import Control
from ticketd.git.door import Answer, Git
from ticketd.git.gate import show_tip
from ticketd.ports import LostRace, Pushed, Refused, Unreachable

FETCH = (
    *("fetch", "--quiet", "--no-tags", "--refmap="),
    *("--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules"),
)
PUSH = ("push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")

# A helper's name before `::`; a host, or a user, that ssh would take for an option; a path that is none; a line break.
_BAD_URL = re.compile(r"^[\w.+-]*::|^-|://([^/@]*@)?-|^[^/:]*@-|^file://(?!/)|[\0-\x1f\x7f]")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")
# What the server says when the branch has moved between its advertisement and its lock.
_RACE = ("failed to update ref", "cannot lock ref", "failed to lock", "incorrect old value provided")
_TRANSIENT = ("unpacker error", "missing necessary objects")


def check_url(url: str) -> str:
    """Raises:
    BadInput: a URL that git would take for an option, or hand to a program (`ext::`). Schemes are git's to judge,
        once it has applied `insteadOf`: see GIT_ALLOW_PROTOCOL.
    """
    if url and not _BAD_URL.search(url):
        return url
    mend = "set the remote to a path, or to an ssh, https, http, git or file URL"
    raise BadInput(f"{_SECRET.sub('***@', url)!r} is not a URL to land on", mend=mend)


def read_failure(answer: Answer) -> str:
    """git's word for what went wrong, without secrets."""
    if answer.code < 0 or answer.code == 124:
        return "git did not answer in time"
    lines = [line.strip() for line in answer.err.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    return _SECRET.sub("***@", "; ".join(said[-4:])) or f"git failed (exit {answer.code})"


def target_ref(branch: str) -> str:
    """Where the control repository has the target as last seen; outside of what `git fetch` moves by itself."""
    return f"refs/target/{branch}"


def note_tip(control: Control, branch: str, tip: str) -> None:
    """Remember the target's commit, and show it to the agents as `origin/<branch>` (as well as can be: their own
    fetch may hold that ref's lock) and at their gate."""
    both = f"update {target_ref(branch)} {tip}\nupdate {shown_ref(branch)} {tip}\n".encode()
    if not control.git.ask("update-ref", "--no-deref", "--stdin", stdin=both).ok:
        control.keep(target_ref(branch), tip)
    show_tip(control.state, branch, tip)


def shown_ref(branch: str) -> str:
    """Where agents see the target."""
    return f"refs/remotes/origin/{branch}"


def fetch_tip(control: Control, git: Git, url: str, branch: str, timeout_s: float) -> str | Unreachable:
    """Bring the branch's commit from `url` into the control repository."""
    refspec = f"+refs/heads/{branch}:{target_ref(branch)}"
    with control.exclusive():
        answer = git.ask(*FETCH, "--", url, refspec, timeout_s=timeout_s)
    tip = control.peek_ref(target_ref(branch))
    if not answer.ok or tip is None:
        return Unreachable(read_failure(answer))
    control.git.ask("update-ref", "--no-deref", shown_ref(branch), tip)
    show_tip(control.state, branch, tip)
    return tip


@dataclass(frozen=True, slots=True)
class RemoteTarget:
    """`branch` of a remote. URLs are literal, so no remote of the control repository's configuration takes part;
    `config` is what the user's repository sets for the transport, `timeout_s` is for each exchange; with `asks` git may
    ask for a password on the terminal.

    Raises:
        BadInput: a URL that cannot be one.
    """

    control: Control
    url: str
    push_url: str
    branch: str
    config: tuple[str, ...] = ()
    timeout_s: float = 120.0
    asks: bool = False

    def __post_init__(self) -> None:
        check_url(self.url)
        check_url(self.push_url)

    def _git(self) -> Git:
        git = self.control.git
        return Git(git.cwd, (*git.config, *self.config), {**git.env, "GIT_TERMINAL_PROMPT": str(int(self.asks))})

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def tip(self) -> str | Unreachable:
        """One question (6-8 ms at a local remote); a fetch only when the answer is news."""
        answer = self._git().ask("ls-remote", "--quiet", "--", self.url, self._ref, timeout_s=self.timeout_s)
        if not answer.ok:
            return Unreachable(read_failure(answer))
        found = [line.partition("\t")[0] for line in answer.out.splitlines() if line.endswith(f"\t{self._ref}")]
        if not found:
            return Unreachable(f"the remote has no branch {self.branch}")
        if self.control.peek_ref(target_ref(self.branch)) == found[0]:
            return found[0]
        return fetch_tip(self.control, self._git(), self.url, self.branch, self.timeout_s)

    def push(self, candidate: str, onto: str) -> Pushed | LostRace | Refused | Unreachable:
        """The lease names `onto`: a plain push would bring back commits that somebody has taken off the branch.

        Raises:
            ValueError: `candidate` is not on top of `onto`.
        """
        if not self.control.contains(candidate, onto):
            raise ValueError(f"{candidate} is not on top of {onto}")
        lease = f"--force-with-lease={self._ref}:{onto}"
        refspec = f"{candidate}:{self._ref}"
        answer = self._git().ask(*PUSH, lease, "--", self.push_url, refspec, timeout_s=self.timeout_s)
        outcome = read_push(answer, self._ref)
        if isinstance(outcome, Pushed):
            note_tip(self.control, self.branch, candidate)
        return outcome

    def publish(self, branch: str, candidate: str) -> Pushed | LostRace | Refused | Unreachable:
        """Whatever is about to be pushed is noted first; so what the branch stands at is ours, or somebody else's,
        whenever we were killed."""
        ref = f"refs/heads/{branch}"
        answer = self._git().ask("ls-remote", "--quiet", "--", self.push_url, ref, timeout_s=self.timeout_s)
        if not answer.ok:
            return Unreachable(read_failure(answer))
        found = [line.partition("\t")[0] for line in answer.out.splitlines() if line.endswith(f"\t{ref}")]
        there = found[0] if found else ""
        if there == candidate:
            return Pushed()
        if there and self.control.read_ref(published_ref(branch, there)) is None:
            return LostRace(f"somebody else has pushed {there[:12]} to {branch}")
        self.control.keep(published_ref(branch, candidate), candidate)
        push = (*PUSH, f"--force-with-lease={ref}:{there}", "--", self.push_url, f"+{candidate}:{ref}")
        return read_push(self._git().ask(*push, timeout_s=self.timeout_s), ref)


def published_ref(branch: str, commit: str) -> str:
    """Where the control repository notes that `commit` may have been pushed to `branch`."""
    return f"refs/published/{branch}/{commit}"


def read_push(answer: Answer, ref: str) -> Pushed | LostRace | Refused | Unreachable:
    """What `git push --porcelain` says about one ref: flag, `from:to` and summary, between tabs."""
    for line in answer.out.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        if names.endswith(f":{ref}") and len(flag) == 1:
            return _read_line(answer, flag, summary)
    return Unreachable(read_failure(answer))


def _read_line(answer: Answer, flag: str, summary: str) -> Pushed | LostRace | Refused | Unreachable:
    if flag != "!":
        return Pushed() if answer.ok else Unreachable(f"it may have landed: {read_failure(answer)}")
    detail = _SECRET.sub("***@", summary)
    if summary.startswith("[rejected]"):
        return LostRace(detail)
    if not summary.startswith("[remote rejected]") or any(word in summary for word in _TRANSIENT):
        return Unreachable(f"{detail}; {read_failure(answer)}")
    if any(word in summary for word in _RACE):
        # A lock that a killed server left says the same, and never goes by itself.
        stale = "File exists" in answer.err
        return Unreachable(f"the remote's branch is locked: {read_failure(answer)}") if stale else LostRace(detail)
    return Refused(f"{detail}; {_remote_words(answer)}".removesuffix("; "))


def _remote_words(answer: Answer) -> str:
    """What the server's hook had to say; that is where it says why."""
    said = [line.removeprefix("remote:").strip() for line in answer.err.splitlines() if line.startswith("remote:")]
    return _SECRET.sub("***@", "; ".join(word for word in said if word))
