"""What only the whole set of tickets can tell: ids, dependencies, cycles; and warnings about tickets that are legal."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ticketd.domain import globs
from ticketd.domain.globs import PatternSet
from ticketd.domain.graph import dependents_of, spelled_circle
from ticketd.domain.problems import Problem, Severity, nearest
from ticketd.domain.quoting import size_of
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import GLOBAL_SCOPE, Ticket
from ticketd.domain.ticketfile import Parsed, heading_of
from ticketd.domain.values import or_list, shown

# Likeness of words takes about 10 µs to compute: past so many misspelled ids in one set, or so many comparisons, the
# nearest is no longer named.
_MAX_NEAREST = 20
_MAX_LIKENESSES = 200_000
# Edges looked at for the shortest cycle of one knot; past it the shortest one found so far is told.
_MAX_CYCLE_STEPS = 500_000

Edges = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Outline:
    """What checks across files know of one. `id` as in `Parsed`; `sound`: it has no error of its own."""

    path: str
    id: str | None
    sound: bool
    depends_on: tuple[str, ...]


LineOf = Callable[[str, str], int]
"""The line of a file, by its path, in which its `depends_on` names an id."""


def lint(tickets: Sequence[Parsed], settings: Settings, known_landed: Collection[str] = ()) -> tuple[Problem, ...]:
    """Faults across files and those of `lint_one`, by file and line; the others that `parse_ticket` found are not
    repeated. Give it every file, the faulty ones too."""
    by_path = {parsed.path: parsed for parsed in tickets}
    across = lint_across(
        [outline_of(parsed) for parsed in tickets],
        known_landed,
        lambda path, id_: by_path[path].lines.of("depends_on", id_),
    )
    return tuple(sorted({*across, *(problem for parsed in tickets for problem in lint_one(parsed, settings))}))


def outline_of(parsed: Parsed) -> Outline:
    ticket = parsed.ticket
    return Outline(parsed.path, parsed.id, ticket is not None, ticket.depends_on if ticket else ())


def lint_across(files: Sequence[Outline], known_landed: Collection[str], line_of: LineOf) -> tuple[Problem, ...]:
    """Faults that take several files to see. `known_landed`: ids that may be depended on though their file is gone.

    Give it every file, the faulty ones too: their ids are known, so what depends on them is not called a mistake.
    """
    found = (*_twins(files), *_unknown_dependencies(files, known_landed, line_of), *_cycles(files, line_of))
    return tuple(sorted(set(found)))


def lint_one(parsed: Parsed, settings: Settings) -> tuple[Problem, ...]:
    """What is legal in one file, but perhaps not meant."""
    return tuple(_of_one(parsed, settings))


# --- ids ------------------------------------------------------------------------------------------------------------


def _twins(files: Sequence[Outline]) -> Iterator[Problem]:
    places: dict[str, set[str]] = defaultdict(set)
    for file in files:
        if file.id is not None:
            places[file.id].add(file.path)
    for id, paths in places.items():
        for path in paths if len(paths) > 1 else ():
            others = " and ".join(sorted(paths - {path}))
            yield Problem(path, 0, f"the id `{id}` is also that of {others}", "rename one of the files")


# --- dependencies ---------------------------------------------------------------------------------------------------


def _unknown_dependencies(files: Sequence[Outline], landed: Collection[str], line_of: LineOf) -> Iterator[Problem]:
    sound = {file.id for file in files if file.sound}
    paths = {file.id: file.path for file in files if file.id is not None}
    gone = frozenset(landed)
    near: dict[str, str | None] = {}
    for file in files:
        for id in file.depends_on:
            if id == file.id:
                line = line_of(file.path, id)
                yield Problem(file.path, line, "the ticket depends on itself", f"take `{id}` out of `depends_on`")
            elif id in paths and id not in sound and id not in gone:
                what = f"it waits for `{id}`, which has errors"
                yield Problem(file.path, line_of(file.path, id), what, f"mend {paths[id]}", Severity.WARNING)
            elif id not in paths and id not in gone:
                if id not in near and len(near) < min(_MAX_NEAREST, 1 + _MAX_LIKENESSES // (len(paths) or 1)):
                    near[id] = nearest(id, [*paths, *gone])
                guess = near.get(id)
                mend = f"did you mean `{guess}`?" if guess else "write that ticket, or take the id out"
                what = f"`depends_on`: there is no ticket {shown(id)}"
                yield Problem(file.path, line_of(file.path, id), what, mend)


def _cycles(files: Sequence[Outline], line_of: LineOf) -> Iterator[Problem]:
    """One error for each knot of tickets that wait for each other, with its shortest cycle."""
    by_id = {file.id: file for file in files if file.id is not None and file.sound}
    edges = {
        id: sorted(d for d in set(file.depends_on) if d in by_id and d != id) for id, file in sorted(by_id.items())
    }
    for knot in _knots(edges):
        cycle = _shortest_cycle(knot, edges)
        path = by_id[cycle[0]].path
        what = f"`depends_on` goes round in a circle: {spelled_circle(cycle)}"
        mend = f"take one of these dependencies out; none of the {len(knot)} tickets in it can start"
        yield Problem(path, line_of(path, cycle[1]), what, mend)


def _knots(edges: Edges) -> list[set[str]]:
    """The strongly connected parts with more than one node (Kosaraju; iterative, since chains may be 50,000 long)."""
    back = dependents_of(edges)
    knots = []
    placed: set[str] = set()
    for start in reversed(_by_finish(edges)):
        if start in placed:
            continue
        knot = {start}
        stack = [start]
        while stack:
            for node in back.get(stack.pop(), ()):
                if node not in placed and node not in knot:
                    knot.add(node)
                    stack.append(node)
        placed |= knot
        if len(knot) > 1:
            knots.append(knot)
    return knots


def _by_finish(edges: Edges) -> list[str]:
    """Nodes in the order a depth-first walk leaves them."""
    finished: list[str] = []
    met: set[str] = set()
    for start in edges:
        if start in met:
            continue
        met.add(start)
        stack = [(start, iter(edges[start]))]
        while stack:
            node, rest = stack[-1]
            ahead = next((n for n in rest if n not in met), None)
            if ahead is None:
                finished.append(node)
                stack.pop()
            else:
                met.add(ahead)
                stack.append((ahead, iter(edges[ahead])))
    return finished


def _shortest_cycle(knot: set[str], edges: Edges) -> list[str]:
    """A shortest cycle, from the first of its ids in the alphabet."""
    best: list[str] = []
    steps = 0
    for start in sorted(knot):
        found, walked = _cycle_through(start, knot, edges, len(best) or len(knot) + 1)
        best = found or best
        steps += walked
        if len(best) == 2 or steps > _MAX_CYCLE_STEPS:
            break
    first = best.index(min(best))
    return best[first:] + best[:first]


def _cycle_through(start: str, knot: set[str], edges: Edges, shorter_than: int) -> tuple[list[str], int]:
    """The shortest cycle through one node if it has fewer nodes than that, and how many edges were looked at."""
    came_from: dict[str, str] = {}
    queue = deque([(start, 1)])
    steps = 0
    while queue:
        node, length = queue.popleft()
        if length >= shorter_than:
            break
        for ahead in edges[node]:
            steps += 1
            if ahead == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1], steps
            if ahead in knot and ahead not in came_from:
                came_from[ahead] = node
                queue.append((ahead, length + 1))
    return [], steps


# --- one ticket: legal, but perhaps not meant -----------------------------------------------------------------------


def _of_one(parsed: Parsed, settings: Settings) -> Iterator[Problem]:
    if parsed.ticket is not None:
        yield from _claim(parsed, parsed.ticket)
        yield from _brief(parsed, parsed.ticket, settings)
        yield from _place(parsed, parsed.ticket, settings)


def _warning(parsed: Parsed, key: str, what: str, mend: str) -> Problem:
    return Problem(parsed.path, parsed.lines.of(key), what, mend, Severity.WARNING)


def _claim(parsed: Parsed, ticket: Ticket) -> Iterator[Problem]:
    if "touches" not in parsed.lines.keys:
        what = "no `touches`: the ticket claims every file, so it holds back every other ticket while it runs"
        yield _warning(parsed, "touches", what, 'name what it will change, like `touches: ["src/upload/**"]`')
    elif _claims_nothing(ticket.touches):
        what = "`touches` claims no file at all, so nothing keeps other tickets off what this one writes"
        yield _warning(parsed, "touches", what, "name what it will change")
    elif _claims_everything(ticket.touches):
        what = "`touches` claims every file: it holds back every other ticket while it runs"
        yield _warning(parsed, "touches", what, "name only what it will change")


def _claims_nothing(claim: PatternSet) -> bool:
    # The exact question is slow for 10,000 tickets; where nothing is excluded it need not be asked.
    excludes = any(pattern.startswith("!") for pattern in claim.patterns)
    return not claim.patterns or (excludes and globs.outside(claim, globs.NOTHING) is None)


def _claims_everything(claim: PatternSet) -> bool:
    # As above: without a `*` no claim has names of every length, and nearly every other leaves out this path.
    if not any("*" in pattern for pattern in claim.patterns):
        return False
    return globs.matches(claim, "some/path/or other") and globs.outside(globs.EVERYTHING, claim) is None


def _brief(parsed: Parsed, ticket: Ticket, settings: Settings) -> Iterator[Problem]:
    if not ticket.body:
        what = "the ticket has no text: the agent gets its title as the whole brief"
        yield _warning(parsed, "", what, "say what is to be done")
    if (size := size_of(ticket.body)) > settings.brief.limit:
        what = f"the text has {size:,} bytes, so nothing else has room in the brief (`limit` under [brief])"
        yield _warning(parsed, "", what, "put what is only to be looked up into a file, and name that")
    if "title" not in parsed.lines.keys and heading_of(ticket.body) is None:
        what = "no title: neither the key `title` nor a heading"
        yield _warning(parsed, "", what, "begin the text with `# Title`")


def _place(parsed: Parsed, ticket: Ticket, settings: Settings) -> Iterator[Problem]:
    """Where the configuration would put it: its scope and its agent."""
    if ticket.scope != GLOBAL_SCOPE and ticket.scope not in settings.scopes:
        near = nearest(ticket.scope, settings.scopes)
        if near:
            what = f"scope {shown(ticket.scope)} is not in `ticketd.toml`"
            yield _warning(parsed, "scope", what, f"did you mean `{near}`?")
    if ticket.agent is None and settings.agents and not settings.route_of(ticket):
        what = f"no agent takes this ticket: it names none, and none is `default` or routed to size {ticket.size}"
        choices = or_list(f"`agent: {name}`" for name in settings.agents)
        yield Problem(parsed.path, 0, what, f"write {choices}, or add `[agents.default]` to `ticketd.toml`")
