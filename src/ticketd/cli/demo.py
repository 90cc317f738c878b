"""`ticketd demo`: a throwaway web shop, 24 tickets, 8 slots, real worktrees and processes, a scripted agent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from ticketd.boot.session import open_session
from ticketd.domain.ticket import Reason, TicketRecord, TicketState
from ticketd.git.door import Git, leave_outer_repository

SLOTS = 8
PACE = 2.5
"""How much slower than `Planned.seconds` the agents work: fast enough to wait for, slow enough to watch."""

Outcome = tuple[TicketState, Reason | None, int]
GLOBAL, ACME, GLOBEX = "_global", "acme", "globex"

CONFIG = """\
slots = 8

[landing]
verify = ["sh", "check"]    # run in a clean tree of exactly what will be pushed
repairs = 0                 # the scripted agents do what their ticket says, and can mend nothing

[agents.default]
preset = "scripted"

[scopes.acme]
paths = ["/brands/acme/**"]

[scopes.globex]
paths = ["/brands/globex/**"]
"""

CHECK = """\
# What must hold of the shop before anything lands.
! grep -n ',-' brands/*/prices.csv || { echo 'a price is below zero'; exit 1; }
for file in src/*.js; do test -s "$file" || { echo "$file is empty"; exit 1; }; done
"""

BRAND = {
    "theme.css": ":root { --accent: navy; }\n",
    "prices.csv": "mug,9.90\nshirt,24.00\n",
    "home.html": "<h1>Welcome</h1>\n",
}
SHOP = {
    "README.md": "# Corner shop\n\nOne code base, two brands.\n",
    "check": CHECK,
    **{f"src/{name}.js": f"// {name}\n" for name in ("cart", "checkout", "mail", "search")},
    **{f"brands/{brand}/{name}": text for brand in (ACME, GLOBEX) for name, text in BRAND.items()},
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One ticket. Its agent works for so many `seconds`, then adds a line to each of `writes`, which are its claim."""

    scope: str
    id: str
    title: str
    seconds: float
    writes: Mapping[str, str]
    after: tuple[str, ...] = ()
    first: str = ""
    front: str = ""

    @property
    def path(self) -> str:
        return f"tickets/{self.id}.md" if self.scope == GLOBAL else f"tickets/{self.scope}/{self.id}.md"

    def text(self, pace: float) -> str:
        front = [f"touches: {json.dumps([f'/{path}' for path in self.writes])}"]
        front += [f"depends_on: {json.dumps(self.after)}"] if self.after else []
        front += [self.front] if self.front else []
        steps = [self.first] if self.first else []
        steps += [
            f"sleep {self.seconds * pace:.2f}",
            *(f"append {path} '{line}'" for path, line in self.writes.items()),
        ]
        body = [f"# {self.title}", "", *(f"agent: {step}" for step in steps)]
        return "\n".join(["---", *front, "---", *body, ""])


def _in(scope: str, name: str) -> str:
    return f"brands/{scope}/{name}"


FAILS_ONCE = "acme-store-finder"
NEVER_LANDS = "globex-clearance"

TICKETS = (
    Planned(GLOBAL, "currency", "Prices in euro and dollar", 1.0, {"src/currency.js": "rates"}, front="priority: high"),
    Planned(GLOBAL, "cart-totals", "Show the total in the cart", 1.6, {"src/cart.js": "total"}),
    Planned(GLOBAL, "cart-vouchers", "Accept voucher codes", 1.2, {"src/cart.js": "voucher"}),
    Planned(GLOBAL, "guest-checkout", "Check out without an account", 1.8, {"src/checkout.js": "guest"}),
    Planned(
        GLOBAL,
        "express-checkout",
        "Check out with one click",
        1.2,
        {"src/checkout.js": "express", "src/cart.js": "one click"},
        after=("guest-checkout",),
    ),
    Planned(GLOBAL, "receipts", "Mail a receipt", 1.4, {"src/mail.js": "receipt", "src/checkout.js": "send receipt"}),
    Planned(GLOBAL, "search-typos", "Forgive typos in the search", 2.0, {"src/search.js": "fuzzy"}),
    Planned(GLOBAL, "search-filters", "Filter what was found", 1.0, {"src/search.js": "filters"}),
    Planned(GLOBAL, "keyboard", "Everything by keyboard", 1.5, {"src/keyboard.js": "focus"}),
    Planned(GLOBAL, "say-how-to-start", "Say how to start", 0.5, {"README.md": "Start: npm start"}),
    Planned(ACME, "acme-theme", "Acme is red now", 1.0, {_in(ACME, "theme.css"): ".button { color: red }"}),
    Planned(ACME, "acme-dark", "Acme at night", 0.8, {_in(ACME, "theme.css"): "@media dark {}"}, after=("acme-theme",)),
    Planned(ACME, "acme-spring-prices", "Acme spring prices", 1.3, {_in(ACME, "prices.csv"): "umbrella,14.50"}),
    Planned(ACME, "acme-gift-box", "Acme gift box", 0.7, {_in(ACME, "prices.csv"): "box,19.00"}, after=("currency",)),
    Planned(ACME, "acme-hero", "A picture on the Acme home page", 1.7, {_in(ACME, "home.html"): "<img>"}),
    Planned(ACME, "acme-reviews", "Reviews on the Acme home page", 1.0, {_in(ACME, "home.html"): "<ul>"}),
    Planned(ACME, FAILS_ONCE, "Acme store finder", 0.9, {_in(ACME, "stores.html"): "<map>"}, first="fail-first 1"),
    Planned(GLOBEX, "globex-theme", "Globex in green", 1.1, {_in(GLOBEX, "theme.css"): ".button { color: green }"}),
    Planned(
        GLOBEX,
        "globex-logo",
        "Globex has a new logo",
        0.9,
        {_in(GLOBEX, "logo.svg"): "<svg/>", _in(GLOBEX, "theme.css"): ".logo {}"},
    ),
    Planned(GLOBEX, "globex-prices", "Globex price list", 1.2, {_in(GLOBEX, "prices.csv"): "lamp,39.00"}),
    Planned(
        GLOBEX, NEVER_LANDS, "Globex clearance", 0.8, {_in(GLOBEX, "prices.csv"): "shirt,-5.00"}, front="retries: 0"
    ),
    Planned(GLOBEX, "globex-hero", "A film on the Globex home page", 1.9, {_in(GLOBEX, "home.html"): "<video>"}),
    Planned(
        GLOBEX,
        "globex-finder",
        "Search on the Globex home page",
        0.8,
        {_in(GLOBEX, "home.html"): "<search>"},
        after=("globex-hero", "search-filters"),
    ),
    Planned(GLOBEX, "globex-news", "Globex newsletter", 0.7, {_in(GLOBEX, "news.html"): "<form>"}, after=("receipts",)),
)


@click.command()
@click.option("--keep", is_flag=True, help="Leave the throwaway repository where it is.")
@click.option("--pace", type=click.FloatRange(0), default=PACE, hidden=True)
@click.pass_context
def demo(ctx: click.Context, keep: bool, pace: float) -> None:
    """Run 24 tickets on 8 slots in a throwaway repository; end to end in under a minute.

    Nothing of yours is used or changed. Exits 0 if all came out as planned: 23 land, one of them at its second
    attempt, and one is refused by the shop's own check.
    """
    leave_outer_repository(os.environ)
    with _throwaway(keep) as root:
        shop = Shop(root, pace)
        shop.make()
        click.echo(f"A shop with two brands, {len(TICKETS)} tickets and {SLOTS} slots, in {shop.work}\n")
        code = shop.run()
        if code == 130:
            ctx.exit(code)
        tickets = shop.tickets()
        _tell(tickets, shop.log())
        surprises = _surprises(tickets)
    click.echo("\n" + ("\n".join(surprises) or "All came out as planned."))
    ctx.exit(1 if surprises else 0)


@contextmanager
def _throwaway(keep: bool) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="ticketd-demo-")).resolve()
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield root
    finally:
        signal.signal(signal.SIGTERM, before)
        if keep:
            click.echo(f"\nKept: {root}; look around in {root / 'shop'} with XDG_STATE_HOME={root / 'state'}")
        else:
            shutil.rmtree(root, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Shop:
    """The throwaway repository: an origin, a clone of it, and a home for whoever works there."""

    root: Path
    pace: float

    @property
    def work(self) -> Path:
        return self.root / "shop"

    @property
    def environment(self) -> dict[str, str]:
        """The user's, less all that could lead back to the user's repositories, configuration and state."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TICKETD_", "XDG_"))}
        home = self.root / "home"
        own = {"HOME": str(home), "XDG_STATE_HOME": str(self.root / "state")}
        return {**kept, **own, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}

    def make(self) -> None:
        (self.root / "home").mkdir()
        (self.root / "home" / ".gitconfig").write_text(
            "[user]\n\tname = Ada Shopkeeper\n\temail = ada@shop.example\n[init]\n\tdefaultBranch = main\n"
        )
        self._git(self.root, "init", "--quiet", "--bare", "origin.git")
        self._git(self.root, "clone", "--quiet", "origin.git", "shop")
        self._write({**SHOP, "ticketd.toml": CONFIG})
        self._write({ticket.path: ticket.text(self.pace) for ticket in TICKETS})
        self._git(self.work, "add", "--all")
        self._git(self.work, "commit", "--quiet", "--message", "A shop, and what is to be done")
        self._git(self.work, "push", "--quiet", "origin", "HEAD:main")

    def run(self) -> int:
        """The real daemon, as a process of its own; it shows the live status. The exit code."""
        command = [sys.executable, "-m", "ticketd", "--repo", str(self.work)]
        daemon = subprocess.Popen([*command, "start", "--until-idle", f"--slots={SLOTS}"], env=self.environment)
        try:
            return _wait(daemon)
        finally:
            if daemon.poll() is None:
                daemon.terminate()
                daemon.wait()

    def tickets(self) -> dict[str, TicketRecord]:
        return dict(open_session(self.work, self.environment).session.store.board().tickets)

    def log(self) -> str:
        return self._git(self.root / "origin.git", "log", "--oneline", "main")

    def _write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _git(self, where: Path, *args: str) -> str:
        return Git(where, env=self.environment).run(*args)


def _wait(daemon: subprocess.Popen[bytes]) -> int:
    """A terminal's ^C reaches the daemon by itself, which then drains."""
    while True:
        try:
            return daemon.wait()
        except KeyboardInterrupt:
            continue


def _tell(tickets: Mapping[str, TicketRecord], log: str) -> None:
    click.echo("\nWhat landed:")
    for planned in TICKETS:
        record = tickets.get(planned.id)
        if record and record.state is TicketState.LANDED:
            again = f" (attempt {record.attempts})" if record.attempts > 1 else ""
            click.echo(f"  {(record.landed_sha or '')[:7]}  {planned.scope:<8}{planned.id:<20}{planned.title}{again}")
    click.echo("\nWhat did not:")
    for record in tickets.values():
        if record.state is not TicketState.LANDED:
            click.echo(f"  {record.id}: {record.state} ({record.reason}) {record.detail}")
    click.echo(f"\n$ git log --oneline main\n{log}")


def _surprises(tickets: Mapping[str, TicketRecord]) -> list[str]:
    """In what this run differs from the plan, a line for each."""
    found = []
    for planned in TICKETS:
        record = tickets.get(planned.id)
        attempts = 2 if planned.id == FAILS_ONCE else 1
        wanted: Outcome = (TicketState.LANDED, None, attempts)
        if planned.id == NEVER_LANDS:
            wanted = (TicketState.FAILED, Reason.VERIFY_FAILED, attempts)
        got = (record.state, record.reason, record.attempts) if record else None
        if got != wanted:
            found.append(f"Not as planned: {planned.id} is {_spell(got)}, and was to be {_spell(wanted)}")
    return found


def _spell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "missing"
    state, reason, attempts = outcome
    return f"{state}{f' ({reason})' if reason else ''} after {attempts} attempt{'s' * (attempts != 1)}"
