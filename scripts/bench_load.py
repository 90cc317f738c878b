"""Loading many tickets: from their files into the store, again with nothing changed, and from the store.

Seconds are CPU time of this process, so that others on the machine count little; bytes are what Python allocates.
Prints a row for each: what, measured, bound, ratio (above 1 it is broken). Exit codes: 0 all within bounds; 1 not.
"""

from __future__ import annotations

import argparse
import gc
import random
import re
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ticketd.app.session import Session
from ticketd.app.tickets import Intake, problems
from ticketd.boot.session import open_session
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.store import open_store

TICKETS = 100_000
PATHS = 31_000
BODY_BYTES = 1_000
STORE_S, FILES_S, AGAIN_S = 3.0, 30.0, 1.0
BYTES_PER_TICKET = 1_024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    measured: float
    bound: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.measured / self.bound

    def __str__(self) -> str:
        measured, bound = (f"{value:,.2f} {self.unit}" for value in (self.measured, self.bound))
        return f"{self.what:<44}{measured:>14}{bound:>14}{self.ratio:>8.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=TICKETS, help="how many (%(default)s); bounds shrink along")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
        rows = list(measure(Path(scratch), options.tickets))
    print(f"{'what':<44}{'measured':>14}{'bound':>14}{'ratio':>8}")
    for row in rows:
        print(row)
    return 0 if all(row.ratio <= 1 for row in rows) else 1


def measure(yard: Path, count: int) -> Iterator[Row]:
    session = make_session(yard)
    write_files(session.root, count)
    share = count / TICKETS
    settings = Settings()
    intake = Intake(session)
    yield Row("files into an empty store", seconds(lambda: intake.sync(settings))[0], FILES_S * share, "s")
    yield Row("files again, another process", seconds(lambda: Intake(session).sync(settings))[0], AGAIN_S * share, "s")
    intake.sync(settings)
    yield Row("files again, the same process", seconds(lambda: intake.sync(settings))[0], AGAIN_S * share, "s")
    yield Row("faults of all files", seconds(lambda: problems(session, settings, ()))[0], STORE_S * share, "s")
    store = open_store(session.places.store)
    spent, board = seconds(store.board)
    assert len(board.tickets) == count
    yield Row("the store's board", spent, STORE_S * share, "s")
    del board
    gc.collect()
    tracemalloc.start()
    board = store.board()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    yield Row("memory of a waiting ticket, all", held / count, 2 * BYTES_PER_TICKET, "B")
    text = text_of(board.tickets.values())
    yield Row("memory of a waiting ticket beyond its text", (held - text) / count, BYTES_PER_TICKET, "B")


def seconds(act: Callable[[], T]) -> tuple[float, T]:
    gc.collect()
    before = time.process_time()
    result = act()
    return time.process_time() - before, result


def text_of(records: object) -> int:
    """Bytes of the strings that a person wrote, each string once."""
    assert hasattr(records, "__iter__")
    words: dict[int, str] = {}
    for record in records:
        assert isinstance(record, TicketRecord)
        said = record.ticket
        for word in (said.id, said.path, said.title, said.scope, *said.depends_on, *said.touches.patterns):
            words[id(word)] = word
    return sum(map(sys.getsizeof, words.values()))


# --- a repository with many tickets ---------------------------------------------------------------------------------


def make_session(yard: Path) -> Session:
    root = yard / "shop"
    subprocess.run(["git", "init", "--quiet", root], check=True)
    (root / "tickets").mkdir()
    return open_session(root, {"HOME": str(yard), "XDG_STATE_HOME": str(yard / "state")}).session


def write_files(root: Path, count: int) -> None:
    """As people and generators write them: few paths each, now and then a dependency on an earlier ticket."""
    rng = random.Random(1)
    ids = [f"{number:06d}-{rng.choice(WORDS)}-{rng.choice(WORDS)}" for number in range(count)]
    for number, id_ in enumerate(ids):
        (root / "tickets" / f"{id_}.md").write_text(ticket_text(rng, id_, ids[max(0, number - 1000) : number]))


def ticket_text(rng: random.Random, id_: str, earlier: list[str]) -> str:
    touches = [f"/src/{path % 97:02d}/part_{path % 1009:04d}/module_{path:05d}.py" for path in paths_of(rng)]
    needs = rng.sample(earlier, min(len(earlier), rng.choice((0, 0, 1, 2))))
    lines = [f'title: "{id_[7:].replace("-", " ").title()} of part {id_[:6]}"']
    lines += [f"priority: {rng.choice(('normal', 'high', 'low'))}", f"size: {rng.choice('SML')}"]
    lines += ["touches:", *(f'  - "{path}"' for path in touches)]
    lines += [f"depends_on: [{', '.join(needs)}]"] if needs else []
    lines += ["timeout: 45m", "retries: 2", f"labels: [{rng.choice(WORDS)}, {rng.choice(WORDS)}]"]
    lines += ["verify: pytest -q tests/unit", "on_failure: block"]
    return "\n".join(["---", *lines, "---", "", f"# {id_}", "", body(rng), ""])


def paths_of(rng: random.Random) -> list[int]:
    return [rng.randrange(PATHS) for _ in range(rng.randint(1, 3))]


def body(rng: random.Random) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) < BODY_BYTES:
        lines.append(" ".join(rng.choices(WORDS, k=12)))
    return "\n".join(lines)


WORDS = re.findall(
    "[a-z]+",
    "retry upload cart voucher price banner search index report export import login session cache queue mail invoice"
    " refund stock order ship label track filter sort page theme font image video audio chart table form field error",
)


if __name__ == "__main__":
    sys.exit(main())
