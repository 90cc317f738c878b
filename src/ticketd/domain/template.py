"""The `ticketd.toml` that `ticketd init` writes."""

from __future__ import annotations

from collections.abc import Sequence

from ticketd.domain.settings import AgentHome, AgentProfile, SandboxSettings
from ticketd.domain.ticket import Size
from ticketd.domain.tomllines import BARE
from ticketd.domain.values import quoted


def template(remote: str, branch: str, agents: Sequence[AgentProfile]) -> str:
    """A commented `ticketd.toml` that `parse_settings` reads without a problem."""
    return _TEMPLATE.format(
        remote=quoted(remote),
        branch=quoted(branch),
        agents="\n".join(agent_table(agent) for agent in agents) or _NO_AGENT,
        agent_keys=_AGENT_KEYS,
        routes=_routes(agents),
    )


def agent_table(agent: AgentProfile) -> str:
    """All that a profile says, as `ticketd.toml` says it."""
    name = agent.name if BARE.fullmatch(agent.name) else quoted(agent.name)
    lines = [f"[agents.{name}]", f"preset = {quoted(agent.preset)}"]
    lines += [f"{key} = {_quoted_list(words)}" for key in ("command", "args", "env") if (words := getattr(agent, key))]
    lines += [f"{key} = {quoted(word)}" for key in ("model", "account") if (word := getattr(agent, key))]
    lines += [f"home = {quoted(agent.home)}"] if agent.home is not AgentHome.AUTO else []
    lines += [f"max_slots = {agent.max_slots}"] if agent.max_slots is not None else []
    return "\n".join([*lines, ""])


def sandbox_table(sandbox: SandboxSettings) -> str:
    lines = ["[sandbox]", f"mode = {quoted(sandbox.mode)}", f"home = {quoted(sandbox.home)}"]
    lines += [f"{key} = {_quoted_list(words)}" for key in ("read", "write") if (words := getattr(sandbox, key))]
    return "\n".join([*lines, ""])


def _routes(agents: Sequence[AgentProfile]) -> str:
    """Without a profile named `default`, several profiles would leave a ticket that names none without an agent."""
    if len(agents) < 2 or any(agent.name == "default" for agent in agents):
        return (
            "# [routes]                       # size or scope -> profile, or several: the first that has room\n"
            '# S = ["default"]'
        )
    first = quoted(agents[0].name)
    return "\n".join(["[routes]                         # size or scope -> profile", *(f"{s} = {first}" for s in Size)])


def _quoted_list(words: Sequence[str]) -> str:
    return "[" + ", ".join(quoted(word) for word in words) + "]"


_NO_AGENT = """\
# [agents.default]               # which program works on a ticket
# preset = "claude"              # or codex, gemini, opencode, qwen, copilot, kimi, pi, aider, mini, command
"""

_AGENT_KEYS = """\
# model = "NAME"                 # of each agent: in its own words; without it, what it takes by itself
# env = ["OPENAI_API_KEY"]       # passed on from the daemon's environment: its key; without one it needs a login
# args = ["--verbose"]           # put behind the arguments that ticketd gives it
# command = ["./agent.sh"]       # with preset "command": an argv list, never a shell string; the brief is its input
# home = "auto"                  # auto | own | shared: where its configuration and sessions are
# max_slots = 3                  # how many of it run at once
# account = "team"               # profiles that name the same one share its rate limits
"""

_TEMPLATE = """\
# ticketd: what it runs, where it lands, what needs a person. Keys in comments show their default or an example.
# slots = 8                      # how many agents run at once

[target]
remote = {remote}                # "" lands on the local branch
branch = {branch}
# poll = "10s"                   # how often to look for commits of others

[scheduler]
# backfill = "strict"            # strict | estimate: may a short ticket pass a waiting one on the same files?
# preempt = "off"                # off | critical: may a critical ticket take the slot of a running one?
# aging = "4h"                   # each such wait lifts a ticket one priority, up to high; "off": never
# fair_share = false             # true: the scope with the fewest running agents comes first
# shadow = "off"                 # off | strict | estimate: note where this backfill would start others

[landing]
# verify = ["scripts/test"]      # run in a clean tree of exactly what will be pushed; a list of lists for several steps
# verify_timeout = "30m"         # for each step
# memo = true                    # what was said of a tree counts: the same commands do not run on it twice
# reruns = 1                     # how often a verification that failed is run again before anybody is blamed
# train = 1                      # how many are verified and pushed together at most; 1: each by itself
# lanes = 1                      # how many verifications run side by side
# reverify = 1                   # how often what has passed is verified anew because others moved the target
# repairs = 2                    # how often an agent gets its work back to mend a conflict or a failed verification
# mode = "push"                  # push | pr | branch: for a protected branch, open pull requests
# forge = "auto"                 # auto | gh | glab: the program that opens them
# patience = "10m"               # how long to wait for a remote without a usable answer

# [[landing.regenerate]]         # files made out of others: made anew where two sides changed them, not merged
# paths = ["uv.lock"]
# run = ["uv", "lock"]

# [drift]
# on_conflict = "notify"         # continue | notify | restart: when the target moves against what an agent has written
# restart_within = "2m"          # with restart: what has run for longer is told instead

[claims]
# outside = "extend"             # extend | warn | fail: paths written outside a ticket's `touches`
# shared = ["CHANGELOG.md"]      # files that several tickets may change at once; landing sorts them out

[worktrees]
# setup = ["npm", "ci"]          # once per worktree, again when one of `setup_inputs` changes
# setup_inputs = ["package-lock.json"]
# setup_timeout = "30m"          # for each step
# copy = [".env"]                # untracked files that each worktree gets
# isolation = "worktree"         # worktree | clone: clones share no refs, config or hooks; the default with a sandbox

# [sandbox]
# mode = "off"                   # off | bubblewrap | auto: agents, setup and checks see their worktree and little else
# home = "private"               # private | shared | read-only: what they see as the home directory
# read = ["~/.nvm"]              # what they see besides
# write = ["~/.cache"]           # and may write

{agents}{agent_keys}
{routes}

# [scopes.acme]                  # a brand, tenant or area: tickets in `tickets/acme/`
# paths = ["brands/acme/**"]     # they may claim nothing else
# env = ["ACME_TOKEN"]           # passed to this scope's agents only
# max_slots = 3
# budget_usd = 20                # what its tickets may cost on one day

# [budget]                       # USD; what is used up ends the agents, keeps their work, and lets nothing more start
# ticket = 5                     # all attempts of one ticket together
# day = 100                      # from midnight to midnight here
# scope = 40                     # each scope, each day

# [prices."my-model"]            # USD for a million tokens of models called so, where the agent does not tell
# input = 3.0
# output = 15.0
# cache_read = 0.3               # out of the provider's cache; without it like input
# cache_write = 3.75             # into it; likewise

[gates]                          # none | start | land: where a person must approve, by priority
critical = "land"

[review]
# claim = "hold"                 # hold | release: a ticket's files while it waits to land
# protect = ["/deploy/"]         # work that touches these lands only after a person's word

# [brief]                        # what an agent is told beside its ticket
# template = ".ticketd/brief.md" # in place of ticketd's own; fields like `$task` (see wiki/_global/brief.md of ticketd)
# limit = "64 kB"                # of a whole brief
# wiki_content = "16 kB"         # of that for pages of wiki/_global and of the scope; the others are named

# [secrets]                      # taken out of logs and events, and never pushed
# env = ["DEPLOY_TOKEN"]         # variables, beside those of `env` above that are called KEY, TOKEN, PASSWORD or so
# files = [".env"]               # files of KEY=VALUE lines, or that are one value as a whole
# except = ["NODE_ENV"]          # names of values that are none

[limits]
# retries = 1                    # attempts after the first that a ticket's own failure may use up
# stall = "15m"                  # no output, no change to a file, no CPU for so long: ended and retried; "off": never
# same_failures = 8              # the same action failed so often in a row, with the same result: ended; 0: never
# grace = "10s"                  # between asking an agent to end and ending it
# largest_file = "100 MB"        # work with a larger one is kept where it is, and does not land
# disk = "20 GB"                 # what the state directory may take up: over that the oldest goes, then nothing starts
# keep = "30d"                   # for how long logs and records of what has landed are kept

# [limits.timeouts]              # wall clock of one attempt, by size
# S = "30m"
# M = "1h"
# L = "3h"
"""
