"""Ticket files: what is read, what is refused, and that every fault is told with its line and its mend."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ticketd.domain import globs
from ticketd.domain.globs import EVERYTHING, PatternSet
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.settings import AgentProfile, ScopeSettings, Settings
from ticketd.domain.ticket import Gate, OnFailure, Priority, Size, Ticket
from ticketd.domain.ticketfile import KEYS, MAX_BYTES, Parsed, parse_ticket, slug
from ticketd.domain.ticketrender import render_ticket
from ticketd.domain.values import is_control, is_id

AGENTS = Settings(agents={"swift": AgentProfile("swift", command=("./agent.sh",))})
ACME = Settings(scopes={"acme": ScopeSettings("acme", paths=PatternSet(("brands/acme/**",)))})


def parse(text: str | bytes, path: str = "tickets/fix.md", config: Settings = AGENTS) -> Parsed:
    return parse_ticket(path, text.encode() if isinstance(text, str) else text, config)


def front(*lines: str, body: str = "# Fix it\n\nPlease.\n") -> str:
    return "\n".join(["---", *lines, "---", body])


def ticket(text: str | bytes, path: str = "tickets/fix.md", config: Settings = AGENTS) -> Ticket:
    parsed = parse(text, path, config)
    assert parsed.ticket is not None, [str(p) for p in parsed.problems]
    return parsed.ticket


def errors(parsed: Parsed) -> list[Problem]:
    found = [p for p in parsed.problems if p.severity is Severity.ERROR]
    assert (parsed.ticket is None) == bool(found)
    assert all(p.file == parsed.path and p.what and p.mend for p in found)
    return found


def only_error(parsed: Parsed) -> Problem:
    (problem,) = errors(parsed)
    return problem


# --- what is read ---------------------------------------------------------------------------------------------------


def test_a_file_without_front_matter_is_a_brief_with_defaults() -> None:
    assert ticket("Make it\nfaster.\n") == Ticket(
        id="fix", path="tickets/fix.md", title="fix", body="Make it\nfaster.", touches=EVERYTHING
    )


def test_every_key_of_the_contract_is_read() -> None:
    text = front(
        "title: Retry uploads",
        "scope: acme",
        "priority: P1",
        "size: L",
        "touches: ['src/upload/**', '!src/upload/vendor/**']",
        "depends_on: [first, second.one]",
        "gate: land",
        "agent: swift",
        "timeout: 1h30m",
        "retries: 3",
        "verify: make 'unit tests'",
        "on_failure: skip",
        "budget_usd: 2.50",
        "labels: [net, 2026]",
        body="The brief.",
    )
    assert ticket(text) == Ticket(
        id="fix",
        path="tickets/fix.md",
        title="Retry uploads",
        scope="acme",
        priority=Priority.HIGH,
        size=Size.L,
        touches=PatternSet(("src/upload/**", "!src/upload/vendor/**")),
        depends_on=("first", "second.one"),
        gate=Gate.LAND,
        agent="swift",
        timeout_s=5400.0,
        retries=3,
        verify=("make", "unit tests"),
        on_failure=OnFailure.SKIP,
        budget_usd=2.5,
        labels=("net", "2026"),
        body="The brief.",
    )
    assert set(parse(text).lines.keys) == set(KEYS)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("priority: P0", "priority", Priority.CRITICAL),
        ("priority: p3", "priority", Priority.LOW),
        ("priority: High", "priority", Priority.HIGH),
        ("timeout: 90s", "timeout_s", 90.0),
        ("timeout: 45m", "timeout_s", 2700.0),
        ("timeout: 2h", "timeout_s", 7200.0),
        ("retries: 0", "retries", 0),
        ("budget_usd: 3", "budget_usd", 3.0),
        ("verify: [sh, -c, 'a && b']", "verify", ("sh", "-c", "a && b")),
        ("verify: [echo, x, x]", "verify", ("echo", "x", "x")),
        ("touches: ['a', '!a/b', 'a']", "touches", PatternSet(("a", "!a/b", "a"))),
        ("title: no", "title", "no"),
        ("title: 2024-01-01", "title", "2024-01-01"),
        ('title: " caf\\u00e9 "', "title", "café"),
        ("depends_on: [012, 1e3, no]", "depends_on", ("012", "1e3", "no")),
        ("labels: [1.0, yes, ~x]", "labels", ("1.0", "yes", "~x")),
        ("gate: none", "gate", Gate.NONE),
        ("labels: [&x fast, *x, slow]", "labels", ("fast", "slow")),
    ],
)
def test_a_value_is_read_as_written(line: str, field: str, value: object) -> None:
    assert getattr(ticket(front(line)), field) == value


@pytest.mark.parametrize(
    ("path", "scope"),
    [("tickets/fix.md", "_global"), ("tickets/acme/fix.md", "acme"), ("tickets/_global/fix.md", "_global")],
)
def test_the_folder_gives_the_scope(path: str, scope: str) -> None:
    assert ticket("x", path).scope == scope


def test_the_key_goes_before_the_folder() -> None:
    assert ticket(front("scope: other"), "tickets/acme/fix.md").scope == "other"


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ("# One ##\n# Two", "One"),
        ("text\n\n### Deep", "Deep"),
        ("Under\n=====\n", "Under"),
        ("```sh\n# a comment\n```\n# After", "After"),
        ("~~~\n# a comment\n```\n~~~\n# After", "After"),
        ("#hashtag\n", "fix"),
        ("    # code\n", "fix"),
        ("- item\n---\n", "fix"),
        ("# \x1b[31mred\ttext", "[31mred text"),
        ("no heading", "fix"),
    ],
)
def test_the_first_heading_is_the_title(body: str, title: str) -> None:
    assert ticket(front("size: S", body=body)).title == title


@pytest.mark.parametrize(
    "text",
    [
        "---\r\nsize: S\r\n---\r\n# Fix\r\n\r\nit\r\n",
        "\ufeff---\nsize: S\n---\n# Fix\n\nit",
        "\n\n--- \nsize: S\n---\t\n\n# Fix\n\nit\n\n",
        "---\rsize: S\r---\r# Fix\r\rit",
    ],
)
def test_line_ends_marks_and_blank_lines_do_not_matter(text: str) -> None:
    read = ticket(text)
    assert (read.size, read.title, read.body) == (Size.S, "Fix", "# Fix\n\nit")


def test_a_body_is_kept_as_written() -> None:
    body = "  \x1b[1mbold\x1b[0m </script> ![x](http://x/y)\n\n---\ntitle: not a key\n---\n\tend"
    assert ticket(front("size: S", body=body)).body == body


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "what", "mend"),
    [
        ("dependson: [a]", "unknown key `dependson`", "`depends_on`"),
        ("Title: x", "unknown key `Title`", "`title`"),
        ("files: [a]", "unknown key", "`touches`"),
        ("id: x", "unknown key", "file's name"),
        ("zzzzzz: 1", "unknown key", "known:"),
        ("title: [a]", "`title`: one line of text is wanted, not a list", "write"),
        ("title:", "`title`: it has no value", "take the key out"),
        ("agent: ~", "no value", "take the key out"),
        ('title: ""', "empty", "write"),
        ('title: "a\\nb"', "more than one line", "one line"),
        ('title: "a\\0b"', "U+0000", "take it out"),
        ('title: "a\\x1b[1m"', "U+001B", "take it out"),
        ('title: "a\\ud800"', "U+D800", "take it out"),
        ('labels: ["a\\ud800"]', "U+D800", "take it out"),
        ('title: "a\u202eb"', "U+202E", "take it out"),
        (f"title: {'x' * 201}", "201 characters", "200"),
        ("priority: urgent", "`urgent`", "`critical`, `high`, `normal` or `low`"),
        ("priority: -1", "`-1`", "`critical`"),
        ("priority: hgih", "`hgih`", "did you mean `high`?"),
        ("size: XL", "`XL`", "`S`, `M` or `L`"),
        ("gate: no", "`no`", "`none`"),
        ("on_failure: stop", "`stop`", "`block`, `skip`, `abort` or `ask`"),
        ("touches: src/**", "a list is wanted", '`touches: ["src/**"]`'),
        ("touches: {a: b}", "a list is wanted, not a mapping", "list"),
        ("touches: [/../x]", "`/../x`", "repository root"),
        ("touches: ['']", '`""`', "pattern"),
        ("touches: [.git/hooks]", "`.git/hooks`", "pattern"),
        ("touches: ['a[']", "`a[`", "pattern"),
        ("touches: [[a]]", "a pattern is wanted, not a list", "write"),
        ("touches: [**/*.py]", "alias", '`"**/*.py"`'),
        ("touches: [!docs/**]", "tag", "quote"),
        ("depends_on: other", "a list is wanted", '`depends_on: ["other"]`'),
        ("depends_on: [Other One]", "`Other One`", "`other-one`"),
        ("depends_on: [tickets/acme/other.md]", "a path, not an id", "`other`"),
        ("depends_on: [a..b]", "`..`", "`a-b`"),
        ("depends_on: [-x]", "`-x`", "`x`"),
        ("depends_on: ['']", "empty", "id"),
        ("timeout: 45", "`45` has no unit", "`45m`"),
        ("timeout: 0s", "no time at all", "above zero"),
        ("timeout: -5m", "not a duration", "`45m`"),
        ("timeout: 1e309", "not a duration", "`45m`"),
        ("timeout: 5 parsecs", "not a duration", "`45m`"),
        ("timeout: 1:30", "not a duration", "`45m`"),
        ("timeout: 99999h", "longer than a year", "`2h`"),
        ("timeout: ٣m", "not a duration", "`45m`"),
        ("retries: true", "`true`", "0 to 100"),
        ("retries: 1.5", "`1.5`", "0 to 100"),
        ("retries: -1", "`-1`", "0 to 100"),
        ("retries: 101", "`101`", "0 to 100"),
        ("retries: 1_0", "`1_0`", "0 to 100"),
        (f"retries: {'9' * 5000}", "99…`", "0 to 100"),
        ("retries: '3'", "not a text", "without quotes"),
        ("budget_usd: 0", "`0`", "above zero"),
        ("budget_usd: -1", "`-1`", "above zero"),
        ("budget_usd: .nan", "`.nan`", "above zero"),
        ("budget_usd: .inf", "`.inf`", "above zero"),
        (f"budget_usd: {'9' * 5000}", "99…`", "above zero"),
        ("verify: make 'it", "cannot be split", "quotation"),
        ("verify: ''", "empty", "command"),
        ("verify: []", "empty", "command"),
        ("verify: ['', x]", "first argument is empty", "program"),
        ("verify: {run: x}", "a list is wanted", "list"),
        ('verify: ["a\\0"]', "U+0000", "take it out"),
        ("agent: swfit", "`swfit`", "`swift`"),
        ("scope: a/b", "`a/b`", "letters"),
        ("? [a]\n: b", "a key is wanted, not a list", "`key: value`"),
        ("<<: {title: x}", "merge keys", "themselves"),
        ("title: !!python/object:os.system x", "tag", "take the tag out"),
        ("title: !!str x", "tag", "quote"),
        ("title: a: b", "not YAML: mapping values", "quote"),
        ("%YAML 1.2", "not", ""),
        ("--- # again", "one plain YAML document", "---"),
        ("- a", "keys and values", "key: value"),
    ],
)
def test_a_fault_is_told_with_its_line_and_mend(line: str, what: str, mend: str) -> None:
    problem = only_error(parse(f"---\n# a comment\n{line}\n---\nBody.\n"))
    assert what in problem.what
    assert mend in problem.mend
    assert problem.line == 3


@pytest.mark.parametrize("line", ['title: "\\UFFFFFFFF"', "title: \x07"])
def test_yaml_that_fails_without_naming_a_line_is_told_at_the_fence(line: str) -> None:
    problem = only_error(parse(front(line)))
    assert problem.line == 1
    assert "not YAML" in problem.what


def test_all_faults_are_told_at_once_each_at_its_line() -> None:
    parsed = parse(
        front(
            "title: x",
            "dependson: [b]",
            "size: XL",
            "touches:",
            "  - src/**",
            "  - /../x",
            "  - a//b",
            "retries: many",
            "title: y",
        )
    )
    assert [p.line for p in errors(parsed)] == [3, 4, 7, 8, 9, 10]
    assert errors(parsed)[-1].what == "`title` stands twice, first in line 2"


def test_lines_name_keys_and_items() -> None:
    lines = parse(front("depends_on:", "  - a", "  - b", "size: S")).lines
    assert (lines.of("depends_on"), lines.of("depends_on", "b"), lines.of("size"), lines.of("gate")) == (2, 4, 5, 0)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (b"", 0, "empty"),
        (b"\xef\xbb\xbf", 0, "empty"),
        (b" \r\n\t\n", 0, "empty"),
        (b"one\ntwo \xff\n", 2, "byte 8"),
        ("---\ntitle: x\n".encode("utf-16"), 1, "not UTF-8"),
        (b"one\ntwo\0", 2, "NUL"),
        (b"x" * (MAX_BYTES + 1), 0, "more than 1,048,576 bytes"),
        (b"---\n" + b"#" * 200_000 + b"\n---\nx", 1, "128 KiB"),
        (b"---\ntitle: x\n", 1, "never closed"),
        (b"\n---\ntitle: x\n--\n", 2, "never closed"),
        (b"---\ntitle: " + b"[" * 20_000 + b"\n---\nx", 2, "nested more than 20 deep"),
        (b"---\ntitle: &a [*a]\n---\nx", 2, "names no anchor"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(text: bytes, line: int, what: str) -> None:
    problem = only_error(parse(text))
    assert problem.line == line
    assert what in problem.what


def test_aliases_are_refused_once_they_expand_past_a_mebibyte() -> None:
    bomb = [f"x0: &x0 [{', '.join(['lol'] * 9)}]"]
    bomb += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 9)]
    problem = only_error(parse(front(*bomb)))
    assert "1 MiB" in problem.what
    assert problem.line == 7


@pytest.mark.parametrize(
    ("path", "what", "mend"),
    [
        ("tickets/Fix It.md", "`Fix It.md`", "`fix-it.md`"),
        ("tickets/fix.lock.md", "`fix.lock.md`", "`fix-lock.md`"),
        ("tickets/a..b.md", "`a..b.md`", "`a-b.md`"),
        ("tickets/a..md", "`a..md`", "`a.md`"),
        ("tickets/-x.md", "`-x.md`", "`x.md`"),
        ("tickets/.md", "`.md`", "`ticket.md`"),
        ("tickets/fix.MD", "`fix.MD`", "`fix.md`"),
        ("tickets/fix.txt", "`fix.txt`", "`fix-txt.md`"),
        (f"tickets/{'x' * 65}.md", "xxx", f"`{'x' * 64}.md`"),
        ("tickets/a/b/fix.md", "not where tickets are", "tickets/<scope>/<id>.md"),
        ("fix.md", "not where tickets are", "tickets/<id>.md"),
        ("tickets/my scope/fix.md", "`my scope`", "rename the folder"),
    ],
)
def test_a_path_that_names_no_ticket_is_refused(path: str, what: str, mend: str) -> None:
    problem = only_error(parse("Body.", path))
    assert what in problem.what
    assert mend in problem.mend


def test_a_scope_may_claim_nothing_but_its_paths() -> None:
    inside = front("touches: [brands/acme/logo.svg]")
    assert errors(parse(inside, "tickets/acme/fix.md", ACME)) == []
    problem = only_error(parse(front("size: S", "touches: [brands/**]"), "tickets/acme/fix.md", ACME))
    assert problem.line == 3
    assert "`brands/acme/**`" in problem.what
    witness = globs.outside(PatternSet(("brands/**",)), PatternSet(("brands/acme/**",)))
    assert f"`{witness}`" in problem.what
    assert only_error(parse("no touches", "tickets/acme/fix.md", ACME)).line == 0
    assert errors(parse("no touches", "tickets/fix.md", ACME)) == []


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (front("verify: make && make install"), 2, "`&&`"),
        (front("verify: make | tee log"), 2, "`|`"),
        (front("verify: make > log"), 2, "`>`"),
        (front("verify: echo $HOME"), 2, "`$HOME`"),
        (front("verify: |", "  make", "  make install"), 2, "lines are joined"),
        (front("depends_on: [a, b, a]"), 2, "`a` stands twice"),
        ("title: x\n\ntext", 1, "no front matter"),
    ],
)
def test_what_is_legal_but_hardly_meant_is_a_warning(text: str, line: int, what: str) -> None:
    parsed = parse(text)
    (problem,) = parsed.problems
    assert (problem.severity, problem.line) == (Severity.WARNING, line)
    assert what in problem.what
    assert parsed.ticket is not None


@pytest.mark.parametrize("command", ["make 'a && b'", 'make "a | b"', "make a\\;b", "make a=b", "make --x"])
def test_quoted_operators_are_arguments_without_a_warning(command: str) -> None:
    assert parse(front(f"verify: >-\n  {command}")).problems == ()


# --- properties -----------------------------------------------------------------------------------------------------

WORDS = [*"\n    -:[]{},&*!#|>'\"%@`\\?~aé\0\t\r", "---\n", "\n- ", "\n  ", *[f"\n{key}: " for key in KEYS]]
YAMLISH = st.lists(st.sampled_from(WORDS), max_size=40).map("".join)


@given(st.one_of(st.binary(), YAMLISH.map(str.encode), YAMLISH.map(lambda t: f"---\n{t}\n---\nx".encode())))
@example(b"---\n? \n---\n")
@example(b"---\n!<> x\n---\n")
@example(b'---\n"\\UFFFFFFFF": x\n---\n')
@settings(max_examples=400, deadline=None)
def test_no_bytes_make_the_parser_raise(text: bytes) -> None:
    parsed = parse(text)
    assert (parsed.ticket is None) == any(p.severity is Severity.ERROR for p in parsed.problems)
    assert all("\n" not in str(p) and 0 <= p.line <= text.count(b"\n") + text.count(b"\r") + 1 for p in parsed.problems)
    str([str(p) for p in parsed.problems]).encode()


@given(st.text())
@settings(deadline=None)
def test_no_path_makes_the_parser_raise(path: str) -> None:
    assert parse("x", f"tickets/{path}").path == f"tickets/{path}"


@given(st.text())
@example("Écran: l'été, don't")
@settings(deadline=None)
def test_every_title_has_a_slug_that_is_an_id(title: str) -> None:
    assert is_id(slug(title))


def test_slugs_read_well() -> None:
    assert slug("Don't retry Café uploads (v1.2)!") == "dont-retry-cafe-uploads-v1-2"
    assert slug("word " * 30) == "-".join(["word"] * 13)[:64].rstrip("-")
    assert slug("日本語") == "ticket"


IDS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True).filter(is_id)
TITLES = st.text(min_size=1, max_size=200).filter(lambda t: t == t.strip() and not any(map(is_control, t)))
PATTERNS = st.one_of(
    st.sampled_from(["**", "!docs/**", "*.py", "a b", 'q"uote', "back\\\\slash", "#x", "@x", "é/**", "- x", "a: b"]),
    st.text(string.ascii_letters + "*?!/ é\"'#:", min_size=1, max_size=12),
).filter(lambda p: globs.fault(p) is None)


@given(
    title=TITLES,
    touches=st.lists(PATTERNS, max_size=4),
    depends_on=st.lists(IDS, max_size=4, unique=True),
    priority=st.sampled_from(Priority),
    size=st.sampled_from(Size),
    scope=st.one_of(st.none(), IDS),
    body=st.text(max_size=60).filter(lambda b: "\0" not in b),
)
@settings(deadline=None)
def test_a_written_ticket_is_read_back_the_same(
    title: str, touches: list[str], depends_on: list[str], priority: Priority, size: Size, scope: str | None, body: str
) -> None:
    text = render_ticket(
        title, touches=touches, depends_on=depends_on, priority=priority, size=size, scope=scope, body=body
    )
    read = ticket(text)
    assert (read.title, read.depends_on, read.priority, read.size) == (title, tuple(depends_on), priority, size)
    assert read.touches == (PatternSet(tuple(touches)) if touches else EVERYTHING)
    assert read.scope == (scope or "_global")
    assert read.body.split() == body.split()
    assert ticket(render_ticket(title, body=read.body)).body == read.body


def test_a_written_ticket_reads_well() -> None:
    text = render_ticket("Retry: uploads", touches=["src/**", "!src/x"], priority=Priority.HIGH, body="Do it.\n")
    assert text == (
        '---\ntitle: "Retry: uploads"\npriority: high\ntouches:\n  - "src/**"\n  - "!src/x"\n---\n\nDo it.\n'
    )
