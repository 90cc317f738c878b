"""A target that fails by itself: nothing is verified on top of it until it passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ticketd.app.pushing import Pushing
from ticketd.app.session import Works
from ticketd.app.stack import Stack
from ticketd.app.verifications import Verifications
from ticketd.domain.landing import Landing, Phase
from ticketd.domain.train import Result


@dataclass(slots=True)
class Doubt:
    """`_of`: the target's commit that has failed, as long as that is so."""

    works: Works
    stack: Stack
    pushing: Pushing
    verifications: Verifications
    _of: str | None = None

    def holds(self) -> bool:
        return self._of is not None and self._of == self.stack.on

    def cast(self, landings: Sequence[Landing], trouble: str) -> None:
        """All that wait are put off, and what has failed meanwhile may have failed for the same reason."""
        self._of = self.stack.on
        self.works.session.store.forget_failures()
        self.pushing.put_off(landings, Phase.BLOCKED, trouble)
        self.stack.begin(self.stack.on)

    def ask_again(self, landings: Sequence[Landing]) -> bool:
        """It may be mended though it has not moved. Whether there is an answer to go on with."""
        on = self.stack.on or ""
        known = self.stack.of(on)
        match known.result:
            case Result.PASSED:
                self._of = None
                return True
            case Result.FAILED:
                self.cast(
                    landings, f"{self.works.settings().target.name} itself still fails verification: {known.detail}"
                )
                return False
            case Result.RUNNING:
                return False
            case None:
                steps = self.works.settings().landing.verify
                return self.verifications.begin(on, (), landings[0].key, steps)
