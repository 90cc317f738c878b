"""Real agent CLIs against a scripted model on loopback, eight at a time, each on a fresh repository.

Of each CLI's tickets one conflicts with what somebody else pushes, and one fails its verification; the others just do
their work. Then a storm: the model refuses every other request of everybody with 429 and 529. It must be true that

    all tickets have landed, each once, and none has used up a retry
    tokens and cost of each ticket are those that the model has reported, to the digit
    the conflict and the failed verification were mended in the session that had done the work
    the storm has passed over all of it: as many requests were refused as were to be

With --sandbox all of that in bubblewrap, where each slot is a clone and an agent sees little of this machine.

A CLI that is not installed is skipped: `scripts/agent-clis` installs them. Exit codes: 0 all of it is true; 1 not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kept_work import IDENTITY, Bed, commit_on, git, make_bed
from model_clis import ALL, CLIS, Cli
from model_script import Part, Plan, Write
from model_server import ModelServer

PATIENCE_S = 900.0
PRICE = {"input": 3.0, "output": 15.0, "cache_read": 0.3}
CONFLICT, VERIFY = "conflicts with origin/main", "What was done for this ticket is here, on top of"
# In a file: some have no command run that holds `$(`.
WAIT = 'for i in $(seq 3000); do test -e "${0%/*}/on" && break; sleep 0.1; done\n'
COMMIT = "git add -A && git commit -q -m work"


@dataclass
class Night:
    """One CLI's pool, from its first ticket to its last. `stormy`: how many requests are refused."""

    cli: Cli
    bed: Bed
    model: ModelServer
    tickets: int
    slots: int
    stormy: int
    sandboxed: bool = False
    faults: list[str] = field(default_factory=list)
    took_s: float = 0.0
    landed: int = 0

    @property
    def names(self) -> list[str]:
        return ["conflict", "verify", *(f"t{number:02}" for number in range(self.tickets - 2))][: self.tickets]

    @property
    def environ(self) -> dict[str, str]:
        home = self.bed.root / "home"
        home.mkdir(exist_ok=True)
        path = f"{self.cli.path()}{os.pathsep}{os.environ['PATH']}"
        own = {"XDG_STATE_HOME": str(self.bed.root / "state"), "HOME": str(home), "PATH": path}
        return {**os.environ, **IDENTITY, **own, **self.cli.environ(self.model.url)}

    def set_up(self) -> None:
        price = "\n".join(f"{name} = {usd}" for name, usd in PRICE.items())
        verify = 'verify = ["sh", "-c", "! grep -rs WRONG work"]\nreruns = 0'
        (self.bed.work / "ticketd.toml").write_text(
            f"slots = {self.slots}\n[landing]\n{verify}\n[prices.{json.dumps(self.cli.model)}]\n{price}\n"
            f"{self.cli.profile('default')}{self.sandbox()}"
        )
        (self.bed.work / "tickets").mkdir()
        (self.bed.root / "go").mkdir()
        (self.bed.root / "go/wait").write_text(WAIT)
        for name in self.names:
            touches = "/src/m0/f0.txt" if name == "conflict" else f"/work/{name}"
            front = f'---\ntouches: ["{touches}"]\nretries: 0\n---\n'
            (self.bed.work / "tickets" / f"{name}.md").write_text(f"{front}# {name}\n\nTICKETD-RUN {name}\n")
            self.model.plans[name] = Plan(tuple(self.parts(name)))
        self.model.storm([429, 529] * (self.stormy // 2))

    def sandbox(self) -> str:
        """What an agent needs to see of this machine: itself, its Python, and the file that one of them waits for."""
        seen = json.dumps([str(CLIS), sys.base_prefix, str(self.bed.root / "go")])
        return f'[sandbox]\nmode = "bubblewrap"\nread = {seen}\n' if self.sandboxed else ""

    def parts(self, name: str) -> Iterator[Part]:
        match name:
            case "conflict" if self.cli.resumes:
                yield Part((f"sh {self.bed.root}/go/wait", Write("src/m0/f0.txt", "mine"), COMMIT))
                yield Part((Write("src/m0/f0.txt", "mine and theirs"), COMMIT), heard=CONFLICT)
            case "verify" if self.cli.resumes:
                yield Part((Write("work/verify", "WRONG"), COMMIT))
                yield Part((Write("work/verify", "right"),), heard=VERIFY)
            case _:
                yield Part((Write(f"work/{name}", "done"), COMMIT))

    def pass_by(self) -> None:
        """From the first ticket to the last."""
        began = time.monotonic()
        command = [sys.executable, "-m", "ticketd", "--repo", str(self.bed.work), "start", "--until-idle"]
        with (self.bed.root / "daemon.out").open("w") as out:
            daemon = subprocess.Popen(command, env=self.environ, stdout=out, stderr=out)
            while "answered" not in self.model.ledger.came("conflict") and daemon.poll() is None:
                time.sleep(0.1)
            self.push()
            (self.bed.root / "go/on").touch()
            try:
                code = daemon.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                daemon.terminate()
                code = daemon.wait()
                self.faults.append(f"not done after {PATIENCE_S:.0f} s")
        self.took_s = time.monotonic() - began
        if code != 0:
            self.faults.append(f"the daemon ended with {code}")

    def push(self) -> None:
        tip = commit_on(self.bed.origin, self.bed.target(), "src/m0/f0.txt", "theirs\n")
        git(self.bed.origin, "update-ref", "refs/heads/main", tip)

    def told(self, *args: str) -> Any:
        command = [sys.executable, "-m", "ticketd", "--repo", str(self.bed.work), *args, "--json"]
        return json.loads(subprocess.run(command, env=self.environ, capture_output=True, check=True, text=True).stdout)

    def judge(self) -> None:
        for line in self.told("list")["tickets"]:
            self.landed += line["state"] == "landed"
            if line["state"] != "landed":
                self.faults.append(f"{line['id']}: {line['state']} {line['reason']}")
            elif failures := self.told("show", line["id"])["failures"]:
                self.faults.append(f"{line['id']}: {failures} retries used up")
        for row in self.told("cost", "--by", "ticket")["rows"]:
            self.faults += self.wrong_figures(row)
        for name in ("conflict", "verify") if self.cli.resumes else ():
            if len(sessions := self.model.ledger.sessions(name)) != 1:
                self.faults.append(f"{name}: {len(sessions)} sessions")
            if not self.told("show", name)["repairs"]:
                self.faults.append(f"{name}: there was nothing to mend")
        if left := self.model.storm_left():
            self.faults.append(f"{left} requests were not refused that were to be")

    def wrong_figures(self, row: dict[str, Any]) -> Iterator[str]:
        reported = self.model.ledger.tokens(row["name"], side=False)
        cached = reported.cached if self.cli.tells_cached else 0
        wanted = {"input": reported.input - cached, "output": reported.output, "cache_read": cached, "cache_write": 0}
        if row["tokens"] != wanted:
            yield f"{row['name']}: {row['tokens']} told, {wanted} reported"
        fresh, output, cache = self.cli.own_price or PRICE.values()
        cost = ((reported.input - reported.cached) * fresh + reported.output * output + reported.cached * cache) / 1e6
        if row["cost_usd"] is None or abs(row["cost_usd"] - cost) > 1e-9:
            yield f"{row['name']}: ${row['cost_usd']} told, ${cost:.9f} by the model's figures"

    def line(self) -> str:
        entries = self.model.ledger.entries()
        refused = sum(entry.came in ("429", "529") for entry in entries)
        answered = sum(entry.came == "answered" for entry in entries)
        verdict = "true" if not self.faults else f"{len(self.faults)} faults"
        name = f"{self.cli.name}{' in a storm' if self.stormy else ''}"
        return f"{name:20} {self.landed:3}/{self.tickets} {answered:6} {refused:6} {self.took_s:7.1f} s   {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clis", nargs="+", choices=[*ALL], default=[*ALL])
    parser.add_argument("--tickets", type=int, default=10)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--storm", type=int, default=10, help="how many requests are refused; 0: no storm")
    parser.add_argument("--sandbox", action="store_true", help="each agent in bubblewrap, each slot a clone")
    options = parser.parse_args()
    nights, lines = 0, [f"{'':20} landed answers refused    took"]
    faults: list[str] = []
    for name in options.clis:
        if not ALL[name].is_installed():
            lines.append(f"{name:20} skipped: not in {CLIS}")
            continue
        for stormy in (0, options.storm) if options.storm else (0,):
            night = pass_a_night(ALL[name], options, stormy)
            nights += 1
            lines.append(night.line())
            print(lines[-1], *night.faults, sep="\n    ", flush=True)
            faults += night.faults
    print(*lines, sep="\n")
    return 1 if faults or not nights else 0


def pass_a_night(cli: Cli, options: argparse.Namespace, stormy: int) -> Night:
    with (
        tempfile.TemporaryDirectory(prefix="prove-agents-", ignore_cleanup_errors=True) as root,
        ModelServer() as model,
    ):
        bed = make_bed(Path(root), 40)
        night = Night(cli, bed, model, options.tickets, options.slots, stormy, options.sandbox)
        night.set_up()
        night.pass_by()
        night.judge()
        return night


if __name__ == "__main__":
    sys.exit(main())
