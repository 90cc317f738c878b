"""File patterns: faults, matching and overlap, against pathspec and against a search through all short paths."""

from __future__ import annotations

import random
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from ticketd.domain.globs import EVERYTHING, NOTHING, PatternSet, fault, literal, matches, outside, overlap
from ticketd.domain.globsyntax import are_apart, parse


def _load(path: Path) -> ModuleType:
    spec = spec_from_loader("prove_overlap", SourceFileLoader("prove_overlap", str(path)))
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prover = _load(Path(__file__).parents[2] / "scripts" / "prove_overlap.py")


def claim(*patterns: str) -> PatternSet:
    return PatternSet(patterns)


def reference(patterns: PatternSet, path: str) -> bool:
    return GitIgnoreSpec.from_lines(patterns.patterns, backend="simple").match_file(path)


@pytest.mark.parametrize(
    "pattern",
    [
        *("", " ", "\t", "# note", "!", "! ", "/", "//", "!/", "a//b", "a//", "//a", "\\", "a\\", "a\\  ", "a\\/b"),
        *(".", "..", "../a", "a/../b", "./a", "a/.", "\\.\\.", ".git", "/.git", ".git/config", "!.git", "\\.git"),
        *("a\nb", "a\0", "a\x7f", "a\u2028b", "a\udcffb", "[a", "[]", "[!]", "[^]", "a[/]b", "[b-a]", "[[:alpha:]]"),
        *("[a--]", "[a&&b]", "a" * 1025, "x[!a]*[!b]y"),
    ],
)
def test_unacceptable_patterns_have_a_fault(pattern: str) -> None:
    assert fault(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "a",
            " a",
            "a ",
            "a\\ ",
            "!a",
            "\\!a",
            "\\#a",
            "!#a",
            "**",
            "*",
            "a/",
            "/a/",
            "a/**",
            "**/a",
            "a/**/b",
            "a**b",
        ),
        *("***", "[ab]", "[!a]", "[^a]", "[]a]", "[!]a]", "[a-]", "[-a]", "x[!a]y", "[!a][!b]*", "x[!a]/[!b]y", "a]b"),
        *("é", "a" * 1024, "**/.git", ".gitignore", ".github/", "..a", "a..", "...", "{a,b}", "a\u00a0b"),
    ],
)
def test_acceptable_patterns_have_none(pattern: str) -> None:
    assert fault(pattern) is None


def test_a_faulty_pattern_in_a_claim_is_refused() -> None:
    with pytest.raises(ValueError, match="control character"):
        matches(claim("a\n"), "a")


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (("a",), "a", True),
        (("a",), "x/a/y", True),
        (("/a",), "x/a", False),
        (("a/",), "a", False),
        (("a/",), "a/b", True),
        (("a/*",), "a/b/c", True),
        (("*.py",), "x/y.py", True),
        (("a/**/b",), "a/b", True),
        (("a/**",), "a", False),
        (("*", "!a"), "a", False),
        (("*", "!a", "a"), "a", True),
        # A pattern that matches the file itself outranks a later one that matches a directory above it.
        (("!x/a", "x/"), "x/a", False),
        (("x/", "!x/a"), "x/a", False),
        (("x/**", "!x/"), "x/a", True),
        (("\\!a",), "!a", True),
        (("a\\ ",), "a ", True),
        (("a ",), "a", True),
        # In the reference, a negated bracket takes a slash too.
        (("x[!a]y",), "x/y", True),
        ((), "a", False),
    ],
)
def test_matches(patterns: tuple[str, ...], path: str, expected: bool) -> None:
    assert matches(claim(*patterns), path) is reference(claim(*patterns), path) is expected


@pytest.mark.parametrize(
    ("a", "b", "witness"),
    [
        (("src/**",), ("**/*.py",), "src/.py"),
        (("src/**",), ("tests/**",), None),
        (("/a",), ("/a/b",), "a/b"),
        (("/a",), ("/ab",), None),
        (("a",), ("b",), "a/b"),
        (("**",), ("**",), "a"),
        (("**",), (), None),
        (("src/*.py",), ("src/*.ts",), None),
        (("src/*.py",), ("src/test_*",), "src/test_.py"),
        (("*.py",), ("/setup.*",), "setup.py"),
        (("src/**", "!src/x/**"), ("src/x/**",), None),
        (("src/**", "!src/x/*"), ("src/x/",), "src/x/a/a"),
        (("src/**", "!src/x/"), ("src/x/",), "src/x/a"),
        (("src/", "!*.md"), ("src/*.md",), None),
        (("[!a-z]",), ("/?",), "0"),
        (("/[à-ü]",), ("/[ö-ÿ]",), "ö"),
        (("/[! -~]",), ("/?",), "¡"),
        ((".g*",), ("/.gi?",), ".gia"),
        (("/.[.]",), ("**",), None),
        (("**/.git/**",), ("/.*/*",), ".a/.git/a"),
        (("/a[!b]c",), ("a/",), "a/c"),
    ],
)
def test_overlap(a: tuple[str, ...], b: tuple[str, ...], witness: str | None) -> None:
    assert overlap(claim(*a), claim(*b)) == overlap(claim(*b), claim(*a)) == witness


@pytest.mark.parametrize(
    ("a", "b", "apart_from", "witness"),
    [
        (("src/**",), ("**/*.py",), ("*.py",), None),
        (("src/**",), ("src/**",), ("src/a*",), "src/b"),
        (("/a", "/b"), ("/a", "/b"), ("/a",), "b"),
        (("/a", "/b"), ("/a", "/b"), ("a", "b"), None),
        (("**",), ("**",), ("*", "!*.lock"), ".lock"),
        (("/a",), ("/a",), ("/a/",), "a"),
        (("/a",), ("/a",), ("/a", "!/a/b"), "a/b"),
    ],
)
def test_overlap_apart_from(
    a: tuple[str, ...], b: tuple[str, ...], apart_from: tuple[str, ...], witness: str | None
) -> None:
    assert overlap(claim(*a), claim(*b), claim(*apart_from)) == witness


@pytest.mark.parametrize(
    ("a", "allowed", "witness"),
    [
        (("src/**",), ("src/",), None),
        (("src",), ("/src",), "a/src"),
        (("/src",), ("/src/**",), "src"),
        (("/[ab]*",), ("/a*", "/b*"), None),
        (("/*",), ("/a*", "/[!a]*"), None),
        (("**",), ("**", "!secret"), "secret"),
        (("**", "!secret"), ("**", "!secret"), None),
        ((), (), None),
        (("a",), (), "a"),
    ],
)
def test_outside(a: tuple[str, ...], allowed: tuple[str, ...], witness: str | None) -> None:
    assert outside(claim(*a), claim(*allowed)) == witness


AWKWARD = st.sampled_from(list("ab.!#*?[]\\^- é\u00a0{}~"))
NAMES = st.text(AWKWARD, min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
CHUNKS = [
    "a",
    "b",
    "*",
    "**",
    "?",
    "/",
    "/**/",
    "**/",
    "/**",
    "[ab]",
    "[!a]",
    "[^b]",
    "[]a]",
    "[+-a]",
    "\\a",
    "\\*",
    "\\ ",
]
PATTERNS = st.one_of(
    st.lists(st.sampled_from([*CHUNKS, ".", " ", "!", "#", "é"]), min_size=1, max_size=7).map("".join),
    st.text(st.sampled_from(list("ab*?[]!^\\/ -#")), min_size=1, max_size=8),
    PATHS.map(literal),
).filter(lambda pattern: fault(pattern) is None)
CLAIMS = st.lists(
    st.one_of(PATTERNS, PATTERNS.map("!".__add__)).filter(lambda text: fault(text) is None), max_size=4
).map(lambda patterns: PatternSet(tuple(patterns)))
SHORT_PATHS = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)
ENOUGH = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@ENOUGH
@given(CLAIMS, st.lists(st.one_of(SHORT_PATHS, PATHS), min_size=1, max_size=10))
@example(claim("a"), ["a\n", "a\n/a", "\na"])
@example(claim("**"), ["\n", "\na"])
def test_matches_as_the_reference_does(patterns: PatternSet, paths: list[str]) -> None:
    spec = GitIgnoreSpec.from_lines(patterns.patterns, backend="simple")
    assert [matches(patterns, path) for path in paths] == [spec.match_file(path) for path in paths]


@settings(max_examples=300)
@given(st.text(alphabet="aB0_./-", min_size=1, max_size=12))
def test_a_mere_path_that_has_no_fault_is_a_pattern_to_the_reference_too(text: str) -> None:
    assume(fault(text) is None)
    (read,) = GitIgnoreSpec.from_lines([text], backend="simple").patterns
    assert read.include


@ENOUGH
@given(st.text(max_size=12))
def test_any_text_either_has_a_fault_or_can_be_used(text: str) -> None:
    assume(fault(text) is None)
    assert matches(claim(text), "a/b") == reference(claim(text), "a/b")


@ENOUGH
@given(CLAIMS, CLAIMS, CLAIMS)
def test_witnesses_qualify(a: PatternSet, b: PatternSet, c: PatternSet) -> None:
    for not_in, witness in ((NOTHING, overlap(a, b)), (c, overlap(a, b, c))):
        if witness is not None:
            assert prover.is_sane(witness)
            assert reference(a, witness)
            assert reference(b, witness)
            assert not reference(not_in, witness)
    assert overlap(a, b) == overlap(b, a)
    assert outside(a, a) is None
    assert overlap(a, EVERYTHING) == outside(a, NOTHING)


@ENOUGH
@given(PATHS, PATHS)
def test_a_literal_matches_its_path_and_what_lies_under_it(path: str, other: str) -> None:
    assume(path.split("/")[0] != ".git")
    exactly = claim(literal(path))
    assert fault(literal(path)) is None
    assert matches(exactly, path)
    assert matches(exactly, f"{path}/{other}")
    assert matches(exactly, other) is (other == path or other.startswith(path + "/"))
    assert overlap(exactly, EVERYTHING) == path


def test_all_short_paths_agree() -> None:
    rng = random.Random(20)
    universe = prover.Universe("abc./", 5)
    pool = [prover.some_pattern(rng) for _ in range(400)]
    assert [wrong for wrong in prover.disagreements(rng, universe, pool, 1000) if wrong] == []


def test_the_search_through_all_short_paths_decides_as_the_reference_does() -> None:
    rng = random.Random(21)
    universe = prover.Universe("ab/", 4)
    pool = [prover.some_pattern(rng) for _ in range(60)]
    for _ in range(40):
        some = prover.some_claim(rng, pool)
        found = universe.matched(some)
        assert [bool(found >> place & 1) for place in range(len(universe.paths))] == [
            reference(some, path) for path in universe.paths
        ]


def test_many_literal_paths() -> None:
    mine = claim(*(f"/src/pkg{number % 9}/file_{number}.py" for number in range(500)))
    theirs = claim(*(f"/src/pkg{number % 9}/other_{number}.py" for number in range(500)))
    assert overlap(mine, theirs) is None
    assert overlap(mine, PatternSet((*theirs.patterns, "src/pkg7/"))) == "src/pkg7/file_7.py"
    assert outside(mine, mine) is None
    assert outside(PatternSet((*mine.patterns, "/b")), mine) == "b"
    assert matches(mine, "src/pkg1/file_1.py")
    assert not matches(mine, "src/pkg1/file_2.py")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("*a" * 20,), ("*b" * 20,)),
        (("**/" * 14 + "a",), ("**/" * 14 + "b",)),
        (("**/*/" * 14 + "a",), ("/**/" + "*/**/" * 13 + "b",)),
        (
            tuple(f"**/*{char}*/**" for char in "abcdefghijklmnop"),
            tuple(f"**/*{char}*/**" for char in "qrstuvwxyzABCDEF"),
        ),
    ],
)
def test_adversarial_pairs_overlap(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    witness = overlap(claim(*a), claim(*b))
    assert witness
    assert matches(claim(*a), witness)
    assert matches(claim(*b), witness)


def test_adversarial_pairs_without_overlap() -> None:
    assert overlap(claim("/x/" + "*a" * 20), claim("/x/" + "*b" * 20)) is None
    assert overlap(claim("/*a" + "?" * 20), claim("/*b" + "?" * 20), claim("*/**")) is None
    assert overlap(claim("/x/" + "*a" * 60), claim("/x/" + "*b" * 60)) is None
    assert outside(claim("/*a" + "?" * 20), claim("/*a" + "?" * 20)) is None
    every = "abcdefghijklmnop"
    assert outside(claim("**/*" + "*".join(every) + "*"), claim(*(f"**/*{char}*" for char in every))) is None


def test_matching_is_linear() -> None:
    assert not matches(claim("*a" * 20 + "b"), "a" * 200)
    assert not matches(claim("/" + "**/a/" * 20 + "b"), "/".join("a" * 100) + "/c")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docs/1-*.md", "docs/2-*.md"),
        ("pkg*/mod1/*.ts", "pkg*/mod2/*.ts"),
        ("/a/*.py", "/a/*.js"),
        ("/a/??", "/a/???"),
        ("/a/?b", "/a/x*yz"),
    ],
)
def test_names_that_exclude_each_other_are_seen_at_a_look(one: str, other: str) -> None:
    assert are_apart(parse(one), parse(other))
    assert overlap(PatternSet((one,)), PatternSet((other,))) is None


@pytest.mark.parametrize(
    ("one", "other", "witness"),
    [
        ("/a*/x", "/*b/x", "ab/x"),
        ("/a/*.py", "/a/x.*", "a/x.py"),
        ("*.py", "*.js", ".js/.py"),
        ("/a/[!b]c", "/a/x/c", None),
        ("/a[!b]c/d", "/a/c/d", "a/c/d"),
        ("/a/?", "/a/b/c", "a/b/c"),
    ],
)
def test_a_quick_look_keeps_nobody_apart_who_can_meet(one: str, other: str, witness: str | None) -> None:
    found = overlap(PatternSet((one,)), PatternSet((other,)))
    assert found == witness
