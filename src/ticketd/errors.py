"""What goes wrong in a way the user can mend: what, where, and what to do next."""

from __future__ import annotations

from collections.abc import Callable


class TicketdError(Exception):
    """An error shown without a traceback. `mend` says what to do next; `exit_code` is the contract's."""

    exit_code = 1

    def __init__(self, what: str, *, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend

    def retold(self, told: Callable[[str], str]) -> None:
        """Say the same in other words."""
        self.what, self.mend = told(self.what), told(self.mend)

    def __str__(self) -> str:
        return f"{self.what}\n  {self.mend}" if self.mend else self.what


class BadInput(TicketdError):
    """Wrong usage or a file that cannot be read as what it should be."""

    exit_code = 2


class NotSetUp(TicketdError):
    """Not a git repository, or one without ticketd."""

    exit_code = 3


class DaemonRuns(TicketdError):
    """A daemon already holds this repository."""

    exit_code = 4


class NoDaemon(TicketdError):
    """A daemon is needed and none runs."""

    exit_code = 4


class StoreTrouble(TicketdError):
    """The store cannot be read or written just now: locked, or no room."""


class GitFailed(TicketdError):
    """A git command that had to work did not. `stderr` is git's own word."""

    def __init__(self, what: str, *, stderr: str = "", mend: str = "") -> None:
        super().__init__(f"{what}: {stderr.strip()}" if stderr.strip() else what, mend=mend)
        self.stderr = stderr
