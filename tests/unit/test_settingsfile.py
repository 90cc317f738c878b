"""`ticketd.toml`: what is read, what is refused, and the file that `ticketd init` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ticketd.domain import values
from ticketd.domain.globs import PatternSet
from ticketd.domain.prices import Price
from ticketd.domain.problems import Problem
from ticketd.domain.settings import (
    AgentProfile,
    Backfill,
    BudgetSettings,
    ClaimsSettings,
    DriftSettings,
    ForgeName,
    LandingMode,
    LandingSettings,
    Limits,
    OnConflict,
    Outside,
    Preempt,
    Regenerate,
    ReviewClaim,
    ReviewSettings,
    SchedulerSettings,
    ScopeSettings,
    Settings,
    Shadow,
    TargetSettings,
    WorktreeSettings,
)
from ticketd.domain.settingsfile import MAX_BYTES, ParsedSettings, parse_settings
from ticketd.domain.template import template
from ticketd.domain.ticket import Gate, Priority, Size

PATH = "ticketd.toml"


def parse(text: str | bytes) -> ParsedSettings:
    return parse_settings(PATH, text.encode() if isinstance(text, str) else text)


def read(text: str | bytes) -> Settings:
    parsed = parse(text)
    assert parsed.settings is not None, [str(p) for p in parsed.problems]
    assert parsed.problems == ()
    return parsed.settings


def errors(text: str | bytes) -> tuple[Problem, ...]:
    parsed = parse(text)
    assert parsed.settings is None
    assert all(p.file == PATH and p.what and p.mend for p in parsed.problems)
    return parsed.problems


def only_error(text: str | bytes) -> Problem:
    (problem,) = errors(text)
    return problem


def test_what_a_brief_may_have_is_an_amount_of_text() -> None:
    brief = read('[brief]\ntemplate = ".ticketd/brief.md"\nlimit = "0.5 MB"\nwiki_content = "1 kB"\n').brief
    assert (brief.template, brief.limit, brief.wiki_content) == (".ticketd/brief.md", 500_000, 1000)
    assert "out of range" in only_error('[brief]\nlimit = "2 MB"\n').what
    assert "is not an amount" in only_error('[brief]\nwiki_content = "many"\n').what
    assert "`..`" in only_error('[brief]\ntemplate = "../brief.md"\n').mend


# --- what is read ---------------------------------------------------------------------------------------------------

EVERYTHING = """
slots = 3
[target]
remote = "upstream"
branch = "trunk/next"
poll = "1m"
[scheduler]
backfill = "estimate"
preempt = "critical"
aging = "1h"
fair_share = true
shadow = "strict"
[review]
claim = "release"
protect = ["deploy/**"]
[landing]
verify = [["make"], ["make", "test"]]
verify_timeout = "1h"
patience = "90s"
mode = "pr"
forge = "glab"
memo = false
reruns = 0
train = 8
lanes = 2
reverify = 3
repairs = 1
[[landing.regenerate]]
paths = ["uv.lock"]
run = ["uv", "lock"]
[drift]
on_conflict = "restart"
restart_within = "30s"
[claims]
outside = "fail"
shared = ["CHANGELOG.md", "!docs/CHANGELOG.md"]
[worktrees]
setup = ["npm", "ci"]
setup_inputs = ["package-lock.json"]
setup_timeout = "5m"
copy = [".env", "conf/local/"]
[agents.default]
command = ["./agent.sh", "--fast"]
env = ["API_KEY"]
[agents.tame]
preset = "scripted"
account = "house"
max_slots = 2
[routes]
S = "tame"
acme = ["default", "tame"]
[scopes.acme]
paths = ["brands/acme/**"]
env = ["ACME_TOKEN"]
max_slots = 2
budget_usd = 20
[budget]
ticket = 5
day = 100
scope = 40.5
[prices."own-model"]
input = 3
output = 15
cache_read = 0.3
[limits]
retries = 0
grace = "20s"
[limits.timeouts]
S = "10m"
[gates]
P0 = "start"
low = "land"
"""


def test_every_key_is_read() -> None:
    assert read(EVERYTHING) == Settings(
        slots=3,
        target=TargetSettings(remote="upstream", branch="trunk/next", poll_s=60.0),
        scheduler=SchedulerSettings(Backfill.ESTIMATE, Preempt.CRITICAL, 3600.0, True, Shadow.STRICT),
        review=ReviewSettings(ReviewClaim.RELEASE, PatternSet(("deploy/**",))),
        landing=LandingSettings(
            mode=LandingMode.PR,
            forge=ForgeName.GLAB,
            verify=(("make",), ("make", "test")),
            verify_timeout_s=3600.0,
            patience_s=90.0,
            memo=False,
            reruns=0,
            train=8,
            lanes=2,
            reverify=3,
            repairs=1,
            regenerate=(Regenerate(PatternSet(("uv.lock",)), ("uv", "lock")),),
        ),
        drift=DriftSettings(OnConflict.RESTART, 30.0),
        claims=ClaimsSettings(outside=Outside.FAIL, shared=PatternSet(("CHANGELOG.md", "!docs/CHANGELOG.md"))),
        worktrees=WorktreeSettings(
            setup=(("npm", "ci"),),
            setup_inputs=("package-lock.json",),
            setup_timeout_s=300.0,
            copy=(".env", "conf/local"),
        ),
        limits=Limits(retries=0, grace_s=20.0, timeouts={Size.S: 600.0, Size.M: 3600.0, Size.L: 10800.0}),
        budget=BudgetSettings(ticket=5.0, day=100.0, scope=40.5),
        prices={"own-model": Price(3.0, 15.0, 0.3)},
        agents={
            "default": AgentProfile("default", command=("./agent.sh", "--fast"), env=("API_KEY",)),
            "tame": AgentProfile("tame", preset="scripted", account="house", max_slots=2),
        },
        routes={"S": ("tame",), "acme": ("default", "tame")},
        scopes={"acme": ScopeSettings("acme", PatternSet(("brands/acme/**",)), ("ACME_TOKEN",), 2, 20.0)},
        gates={Priority.CRITICAL: Gate.START, Priority.LOW: Gate.LAND},
    )


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", b"\xef\xbb\xbf", "[target]\n[limits]\n", "landing.verify = []"]
)
def test_what_is_left_out_keeps_its_default(text: str | bytes) -> None:
    assert read(text) == Settings()


def test_no_remote_is_the_local_branch() -> None:
    assert read("[target]\nremote = ''\n[landing]\nmode = 'push'").target.remote == ""


def test_a_mark_and_foreign_line_ends_do_not_matter() -> None:
    assert read("\ufeffslots = 2\r\n[target]\r\nbranch = 'x'\r\n").target.branch == "x"


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "what", "mend"),
    [
        ("slot = 8", 1, "`slot`: unknown key", "`slots`"),
        ("\n[targt]\nremote = 'x'", 2, "`targt`: unknown key", "`target`"),
        ("[landing]\n\nverfy = []", 3, "`landing.verfy`: unknown key", "`verify`"),
        ("[agents.a]\ncommand = ['x']\ncolour = 'y'", 3, "`agents.a.colour`: unknown key", "known: `preset`"),
        ("target.brnch = 'x'", 1, "`target.brnch`: unknown key", "`branch`"),
        ("target = {brnch = 'x'}", 1, "`target.brnch`", "`branch`"),
        ("target = 'main'", 1, "a table is wanted, not a text", "[target]"),
        ("agents = ['x']", 1, "a table is wanted, not a list", "[agents]"),
        ("[[agents]]\ncommand = ['x']", 1, "a table is wanted, not a list", "[agents]"),
        ("agents.a = 1", 1, "`agents.a`: a table is wanted", "[agents.a]"),
        ("slots = 0", 1, "1 to 1000 is wanted, not 0", "1 to 1000"),
        ("slots = -1", 1, "not -1", "1 to 1000"),
        ("slots = 1000000", 1, "not 1000000", "1 to 1000"),
        ("slots = true", 1, "not true or false", "1 to 1000"),
        ("slots = '8'", 1, "not a text", "1 to 1000"),
        ("slots = 8.0", 1, "not 8.0", "1 to 1000"),
        ("slots = 1979-05-27", 1, "not a date", "1 to 1000"),
        ("[landing]\nverify = 'make test'", 2, "a list of arguments", '`verify = ["make", "test"]`'),
        ("[landing]\nverify = [['make'], []]", 2, "empty", "write a command"),
        ("[landing]\nverify = [['make'], 'x']", 2, "a list of arguments", '["x"]'),
        ("[landing]\nverify = ['make', 3]", 2, "not a number", "quotes"),
        ("[landing]\nverify = ['']", 2, "first argument is empty", "program"),
        ("[landing]\nverify = ['a', \"\\u0000\"]", 2, "U+0000", "take it out"),
        ("[landing]\npatience = 600", 2, "has a unit", '`patience = "600s"`'),
        ("[landing]\npatience = '0s'", 2, "no time at all", "above zero"),
        ("[landing]\npatience = '5 parsecs'", 2, "not a duration", "`45m`"),
        ("[landing]\npatience = 1e309", 2, "not a number", '"45m"'),
        ("[budget]\nday = nan", 2, "not nan", "2.50"),
        ("[budget]\nticket = inf", 2, "not inf", "2.50"),
        ("[budget]\nscope = 0", 2, "above zero", "2.50"),
        ("[budget]\nday = true", 2, "not true or false", "2.50"),
        ('[prices."m"]\noutput = 2', 1, "no `input`", "million"),
        ('[prices."m"]\ninput = -1\noutput = 2', 2, "below zero is wanted, not -1", "million"),
        ('[prices."m"]\ninputs = 1\noutput = 2', 2, "unknown key", "`input`"),
        ('[prices]\n"-m" = {input = 1, output = 2}', 2, "no name", "own words"),
        ('[agents.a]\npreset = "scripted"\n[routes]\nacme.S = "a"', 4, "not a table", '"acme.S"'),
        ("[target]\nremote = ''\n[landing]\nmode = 'pr'", 4, "`pr` needs a remote", "[target]"),
        ("[target]\nremote = ''\n[landing]\nmode = 'branch'", 4, "`branch` needs a remote", "[target]"),
        ("[landing]\nforge = 'github'", 2, "`github`", "did you mean `gh`?"),
        ("[limits]\nretries = 101", 2, "not 101", "0 to 100"),
        ("[limits.timeouts]\nXL = '1h'", 2, "there is no size `XL`", "`S`, `M` and `L`"),
        ("[limits]\ntimeouts = {S = 1}", 2, "has a unit", '`S = "1s"`'),
        ("[scheduler]\nbackfill = 'strikt'", 2, "`strikt`", "did you mean `strict`?"),
        ("[claims]\noutside = false", 2, '"extend", "warn" or "fail" is wanted', "quotes"),
        ("[claims]\nshared = 'a'", 2, "a list is wanted", '`shared = ["a"]`'),
        ("[claims]\nshared = ['../a']", 2, "`../a`", "repository root"),
        ("[claims]\nshared = [1]", 2, "a pattern, not a number", "quotes"),
        ("[worktrees]\ncopy = ['../.env']", 2, "`../.env`", "without `..`"),
        ("[worktrees]\ncopy = ['/etc/passwd']", 2, "`/etc/passwd`", "repository root"),
        ("[worktrees]\ncopy = ['C:\\x']", 2, "root", "repository root"),
        ("[worktrees]\ncopy = ['~/.env']", 2, "`~/.env`", "repository root"),
        ("[worktrees]\ncopy = ['x/.GIT/config']", 2, "git's own", "take it out"),
        ("[worktrees]\ncopy = ['']", 2, '`""`', "path"),
        ("[worktrees]\ncopy = ['a//b']", 2, "empty", "path"),
        ("[worktrees]\nsetup_inputs = ['./x']", 2, "`./x`", "path"),
        ("[agents.a]\npreset = 'comand'", 2, "there is no preset `comand`", "`command`"),
        ("[agents.a]", 1, "needs a command", '`command = ["./agent.sh"]`'),
        ("[agents.a]\ncommand = []", 2, "empty", "command"),
        ("[agents.a]\ncommand = './agent.sh -x \"a b\"'", 2, "not a text", '`command = ["./agent.sh", "-x", "a b"]`'),
        ("[agents.'a b']\ncommand = ['x']", 1, "`a b` cannot be a name", "letters"),
        ("[agents.a]\ncommand = ['x']\nenv = ['LD_PRELOAD']", 3, "`LD_PRELOAD` is never passed", "take it out"),
        ("[agents.a]\ncommand = ['x']\nenv = ['TOKEN=1']", 3, "`TOKEN=1`", "name only"),
        ("[scopes.a]\nenv = ['GIT_SSH_COMMAND']", 2, "`GIT_SSH_COMMAND` is never", "take it out"),
        ("[scopes.a]\nenv = 'TOKEN'", 2, "a list is wanted", '`env = ["TOKEN"]`'),
        ("[scopes.a]\npaths = []", 2, "claim nothing", "take the key out"),
        ("[scopes.a]\nmax_slots = 0", 2, "not 0", "1 to 1000"),
        ("[routes]\nS = 'fats'\n[agents.fast]\ncommand = ['x']", 2, "no agent profile `fats`", "`fast`"),
        ("[routes]\nS = 'fast'", 2, "no agent profile `fast`", "[agents.NAME]"),
        ("[routes]\nS = 1", 2, "`routes.S`", "quotes"),
        ("[gates]\nurgent = 'land'", 2, "`urgent`", "`critical`"),
        ("[gates]\nP0 = 'land'\ncritical = 'land'", 3, "`critical` is set twice", "take one"),
        ("[gates]\nlow = 'lnad'", 2, "`lnad`", "did you mean `land`?"),
        ("slots = ", 1, "not TOML", "mend"),
        ("slots = 1\nslots = 2", 2, "not TOML", "mend"),
        ("slots = 1\nbranch = main", 2, "not TOML", "quotes"),
        ("a = " + "[" * 5000, 0, "nested too deep", "mend"),
        ("a = " + "9" * 5000, 0, "too long", "mend"),
        (b"slots = 1\n# \xff", 2, "not UTF-8", "UTF-8"),
        (b"#" * (MAX_BYTES + 1), 0, "bytes", "shorten"),
    ],
)
def test_a_fault_is_told_with_its_line_and_mend(text: str | bytes, line: int, what: str, mend: str) -> None:
    problem = only_error(text)
    assert what in problem.what
    assert mend in problem.mend
    assert problem.line == line


def test_all_faults_are_told_at_once() -> None:
    problems = errors("slots = 0\n[target]\nbranch = '-x'\nremot = 'y'\n[worktrees]\ncopy = ['/a', '../b']\n")
    assert [p.line for p in problems] == [1, 3, 4, 6, 6]


def test_a_faulty_profile_is_still_one_that_routes_may_name() -> None:
    assert "preset" in only_error("[routes]\nS = 'a'\n[agents.a]\npreset = 'x'").what


def test_lines_are_found_past_arrays_strings_and_quoted_keys() -> None:
    text = '''\
[landing]
verify = [
  ["make"],  # [agents.x]
  [
    "patience = 1",
    """
[agents.y]
patience = 2
""",
    '#',
  ]
]
"patience" = 1
[ agents . "a.b" ]
command = 1
'''
    assert [(p.line, p.what.split(":")[0]) for p in errors(text)] == [
        (13, "`landing.patience`"),
        (15, '`agents."a.b".command`'),
    ]


BAD_NAMES = ["-x", "a b", "a..b", "a@{1}", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a.lock", "a.lock/b", "a/"]
BAD_NAMES += ["/a", "a//b", ".a", "a/.b", "a.", "@", "HEAD", "a\n", "a\x7f", "a\u202eb", "x" * 201, "\ttab"]


@pytest.mark.parametrize("name", [*BAD_NAMES, "", "refs/heads/main"])
def test_a_branch_that_git_or_a_command_line_would_misread_is_refused(name: str) -> None:
    with pytest.raises(values.Fault):
        values.branch(name)


@pytest.mark.parametrize("name", [*BAD_NAMES, "ext::sh -c x", "--upload-pack=x", "-oProxyCommand=x", "file://../x"])
def test_a_remote_that_git_or_a_command_line_would_misread_is_refused(name: str) -> None:
    with pytest.raises(values.Fault):
        values.remote(name)


@pytest.mark.parametrize("name", ["main", "feature/x", "release-1.2", "größe", "a@b"])
def test_a_usual_branch_is_taken(name: str) -> None:
    assert values.branch(name) == name


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "GIT_DIR", "PYTHONPATH", "TICKETD_BASE", "BASH_ENV"],
)
def test_variables_that_change_how_programs_run_are_refused(name: str) -> None:
    with pytest.raises(values.Fault):
        values.env_name(name)


# --- properties -----------------------------------------------------------------------------------------------------

WORDS = [
    *"\n =[]{}.,'\"\\#1-é\0\t",
    "slots",
    "target",
    "agents",
    "x",
    "true",
    "[agents.a]\n",
    "command",
    '"""',
    "'''",
    "=[",
]
TOMLISH = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)


@given(st.one_of(st.binary(), TOMLISH.map(str.encode)))
@example(b'"\\ud800" = 1')
@settings(max_examples=400, deadline=None)
def test_no_bytes_make_the_parser_raise(text: bytes) -> None:
    parsed = parse(text)
    assert (parsed.settings is None) == bool(parsed.problems)
    assert all("\n" not in str(p) and 0 <= p.line <= text.count(b"\n") + text.count(b"\r") + 1 for p in parsed.problems)


# --- the file that `init` writes ------------------------------------------------------------------------------------

ARGS = st.text(max_size=12).filter(lambda a: "\0" not in a)
PROFILES = st.builds(
    AgentProfile,
    name=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,10}(\.[a-z])?", fullmatch=True),
    command=st.tuples(ARGS.filter(str.strip), ARGS),
    env=st.lists(st.sampled_from(["TOKEN", "API_KEY"]), unique=True).map(tuple),
)


@given(
    remote=st.sampled_from(["", "origin", "größe", 'a"b']),
    branch=st.sampled_from(["main", "feature/x", "a'b", "{x}"]),
    agents=st.lists(PROFILES, max_size=3, unique_by=lambda a: a.name),
)
@settings(deadline=None)
def test_the_template_reads_back_to_what_it_was_made_of(remote: str, branch: str, agents: list[AgentProfile]) -> None:
    made = read(template(remote, branch, agents))
    assert (made.target.remote, made.target.branch) == (remote, branch)
    assert dict(made.agents) == {agent.name: agent for agent in agents}
    assert made.gates == {Priority.CRITICAL: Gate.LAND}
    assert (made.slots, made.landing, made.limits, made.claims) == (8, LandingSettings(), Limits(), ClaimsSettings())


def test_several_profiles_without_a_default_are_routed() -> None:
    agents = [AgentProfile("quick", command=("q",)), AgentProfile("deep", command=("d",))]
    assert read(template("origin", "main", agents)).routes == {"S": ("quick",), "M": ("quick",), "L": ("quick",)}
    assert read(template("origin", "main", [*agents, AgentProfile("default", command=("x",))])).routes == {}


def test_the_file_that_init_writes_names_every_key_of_the_documentation() -> None:
    rows = (Path(__file__).parents[2] / "wiki" / "_global" / "configuration.md").read_text().splitlines()
    keys = {key for row in rows if row.startswith("| `") for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    keys -= {"high", "normal", "low", "P0", "P3"}  # one stands for all
    assert {"train", "on_conflict", "shared"} <= keys
    assert {key for key in keys if not re.search(rf"\b{key} = ", template("origin", "main", []))} == set()


def test_the_keys_in_the_templates_comments_are_valid_and_show_the_defaults() -> None:
    plain = template("origin", "main", [])
    loud = re.sub(r"(?m)^# (?=\w+ = |\[)", "", plain)
    made = read(loud)
    assert made.agents["default"].command == ("./agent.sh",)
    assert (made.agents["default"].max_slots, made.agents["default"].account) == (3, "team")
    assert made.routes == {"S": ("default",)}
    assert made.scopes["acme"].max_slots == 3
    assert (made.slots, made.target, made.scheduler.backfill) == (8, TargetSettings(), Backfill.STRICT)
    assert (made.limits.retries, made.limits.timeouts, made.limits.grace_s) == (1, Limits().timeouts, Limits().grace_s)
    assert (made.landing.patience_s, made.landing.verify_timeout_s) == (600.0, 1800.0)
    assert max(map(len, plain.splitlines())) <= 120


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[landing]\nregenerate = 3", "list of tables"),
        ("[landing]\nregenerate = [3]", "a table"),
        ('[[landing.regenerate]]\nrun = ["uv", "lock"]', "no `paths`"),
        ('[[landing.regenerate]]\npaths = ["uv.lock"]', "no `run`"),
        ('[[landing.regenerate]]\npaths = []\nrun = ["uv"]', "no `paths`"),
    ],
)
def test_what_is_to_be_regenerated_needs_paths_and_a_command(text: str, named: str) -> None:
    assert named in only_error(text).what
