"""What real agents have printed, and what it means: `logs/NAME/CASE.log`, beside it `CASE.json`, and in `CASE.home` the
files below `Task.home` that were looked at, if there are any. Recorded with a model that goes by a script, and cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ticketd.ports import Exited

LOGS = Path(__file__).with_name("logs")
WANTED = ("done", "rate-limited", "auth", "hang")
"""Each agent has these; the others (`overloaded`, `cut`, `refused` …) where it can be brought to them."""


@dataclass(frozen=True, slots=True)
class Recording:
    agent: str
    case: str
    log: Path
    home: Path
    told: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.agent}/{self.case}"

    @property
    def exited(self) -> Exited:
        return exited(**self.told["exit"])

    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()


def exited(code: int | None = None, signal: int | None = None) -> Exited:
    return Exited(code, signal, "exited", "", 0.0, 1.0, None, None, 0)


def recordings(case: str = "*", agent: str = "*") -> Iterator[Recording]:
    for log in sorted(LOGS.glob(f"{agent}/{case}.log")):
        told = json.loads(log.with_suffix(".json").read_text(encoding="utf-8"))
        yield Recording(log.parent.name, log.stem, log, log.with_suffix(".home"), told)
