"""The plays in which failpoints are passed: small runs that among them take every durable step there is."""

from __future__ import annotations

import shutil
import time

from failpoint_scenes import RUN, Play, Step, Yard

KEPT_FOR_S = 1
SETTLED = '[limits]\nretries = 3\ngrace = "1s"\n'
ELSEWHERE = (
    "git clone -q ROOT/origin.git ROOT/other && cd ROOT/other && sed -i s/2/theirs/ area/1.txt"
    " && git commit -qam theirs"
)
PUSHED = f"{ELSEWHERE} && git push -q origin HEAD:main"
DOUBTFUL = """\
echo x >> ROOT/runs
n=$(wc -l < ROOT/runs)
[ $n -gt 1 ] && [ $n -lt 6 ] && exit 1
exec ROOT/check.sh
"""
EDITS = f"""\
if mkdir ROOT/edited 2>/dev/null; then
    sed -i '2s/^/gate: land\\n/' ROOT/work/tickets/a.md
    sleep 2.5
    {PUSHED}
    exit 1
fi
exec ROOT/check.sh
"""
# In one line, since each is one order.
MEDDLES = "; ".join(
    (
        "c=$(git rev-parse --git-common-dir); g=$(git rev-parse --absolute-git-dir)",
        "git config alias.x status; git config user.name Me",
        "mkdir -p $c/hooks; touch $c/hooks/post-commit; echo x > $c/info/exclude",
        "echo / > $c/objects/info/http-alternates",
        "git update-ref refs/remotes/origin/main HEAD~2; git tag mine; git update-ref -d $(git symbolic-ref HEAD)",
        "echo rubbish > $c/refs/ticketd/a/1; echo / > $g/gitdir",
    )
)
LEADS_ASTRAY = "g=$(git rev-parse --absolute-git-dir); mv $g ROOT/away; ln -s ROOT/away $g"
STOPS = "once kill -TERM $(cat $(dirname $TICKETD_BRIEF)/../../../daemon.lock); exec sleep 4"


def tell(*args: str) -> Step:
    return Step(args)


WORK = Play(
    "work",
    {
        "a": {"touches": ["/work/a*", "/area/0.txt"], "does": ["make work/@.txt x", "add area/0.txt a", "commit"]},
        "b": {"touches": ["/work/b*", "/area/0.txt"], "does": ["add area/0.txt b", "make work/@.txt y"]},
        "c": {"does": ["make work/@.txt x", "commit", "fail-first 1", "make work/@-2.txt y"]},
        "d": {"does": ["make work/@.txt x", "drop", "make work/@-2.txt y"], "depends_on": ["a"]},
        "pusher": {"does": ["make work/@.txt x", "commit", "sh git config user.name Me; git push -q origin HEAD:main"]},
        "bad": {"does": ["make work/@.txt BAD", "make work/@-2.txt y"]},
        "nest": {"does": ["make work/@.txt x", "nest"]},
    },
    config='[worktrees]\nsetup = ["true"]\ncopy = [".env"]\n' + SETTLED,
    final={"nest": "landed|failed"},
)
CONFLICT = Play(
    "conflict",
    {
        "clash": {
            "touches": ["/work/clash*", "/area/1.txt"],
            "does": [
                "make work/@.txt x",
                f"once {PUSHED}",
                "sh sed -i s/2/mine/ area/1.txt",
            ],
        },
        "worse": {"does": ["sh mkdir -p work; echo BAD > work/worse.txt"], "on_failure": "skip", "retries": 0},
        "after": {"depends_on": ["worse"], "does": ["make work/@.txt x"]},
    },
    config=SETTLED,
    final={"worse": "failed", "after": "skipped"},
)
RESTART = Play(
    "restart",
    {
        "slow": {
            "touches": ["/work/slow*"],
            "does": [
                "make work/@.txt x",
                "sh sed -i s/2/mine/ area/1.txt",
                f"once {ELSEWHERE}; sleep 3; git push -q origin HEAD:main; exec sleep 8",
            ],
        }
    },
    config='[drift]\non_conflict = "restart"\n' + SETTLED,
)
WAY = Play(
    "making way",
    {
        "early": {"does": ["make work/@.txt x"]},
        "long": {"does": ["make work/@.txt x", "commit", "once touch ROOT/go; exec sleep 6", "make work/@-2.txt y"]},
        "urgent": {"priority": "critical", "depends_on": ["early"], "does": ["make work/@.txt x"]},
        "cancelled": {"does": ["make work/@.txt x", "sh HAND cancel cancelled", "sh exec sleep 5"]},
    },
    config='[scheduler]\npreempt = "critical"\n[gates]\ncritical = "none"\n'
    + SETTLED
    + "[landing]\nverify = ['ROOT/begun.sh']\n",
    slots=1,
    scripts={"begun.sh": "for i in $(seq 500); do test -e ROOT/go && break; sleep 0.02; done\nexec ROOT/check.sh\n"},
    final={"cancelled": "cancelled|landed"},
)
SPENT = '{"type":"assistant","message":{"id":"1","model":"m","content":[],"usage":{"input_tokens":1000000}}}'
DONE = '{"type":"turn.completed","usage":{"input_tokens":10,"output_tokens":1}}'
REAL = Play(
    "real agents",
    {
        "coder": {"agent": "coder", "touches": ["/work/coder*"]},
        "dear": {"agent": "dear", "budget_usd": 1.0, "touches": ["/work/dear*"]},
    },
    config='[agents.coder]\npreset = "codex"\nhome = "own"\ncommand = ["ROOT/coder.sh"]\n'
    '[agents.dear]\npreset = "claude"\ncommand = ["ROOT/dear.sh"]\n[prices.m]\ninput = 2.0\noutput = 2.0\n' + SETTLED,
    scripts={
        "coder.sh": f"mkdir -p work; echo x > work/coder.txt; echo '{DONE}'\n",
        "dear.sh": f"mkdir -p work; echo x > work/dear.txt; echo '{SPENT}'; exec sleep 1000\n",
    },
    final={"dear": "failed"},
)
PUSHING = Play(
    "an agent's push",
    {
        "a": {
            "does": [
                *("make work/@.txt x", "commit"),
                "once TICKETD_FAILPOINT=git/gate_main._keep/update-ref git push origin HEAD:main 2>> ROOT/out",
            ]
        }
    },
    config=SETTLED,
)
REFUSED = Play("refused", {"a": {"does": ["make work/@.txt x"]}}, (Step(RUN.args, refuse=1),))
VOID = Play("void", {"a": {"does": ["make work/@.txt x"]}}, first="run/spec")
HALF = Play(
    "half-made",
    {"a": {"does": ["make work/@.txt x"]}},
    (RUN, Step(RUN.args, prepares=lambda yard: plant_half_made(yard))),
)
ROOM = Play(
    "room",
    {"a": {"does": ["make work/@.txt x"]}},
    (
        RUN,
        Step(store=("set_short", "no room", 1.0)),
        Step(RUN.args, prepares=lambda yard: break_tree(yard)),
        Step(discard="1"),
        Step(("doctor", "--fix"), prepares=lambda yard: leave_a_step(yard)),
        Step(RUN.args, prepares=lambda yard: outlast(yard)),
    ),
    config=f'[limits]\nkeep = "{KEPT_FOR_S}s"\n',
    slots=1,
    unwatched=True,  # `doctor --fix` installs the hook
)
RESTORED = Play(
    "restored",
    {
        "a": {"does": ["make work/@.txt x"]},
        "worse": {"does": ["sh mkdir -p work; echo BAD > work/worse.txt"], "retries": 0},
    },
    (
        RUN,
        Step(("doctor", "--restore"), prepares=lambda yard: lose_the_store(yard)),
        tell("resume"),
        tell("retry", "worse"),
        RUN,
    ),
    config="[landing]\nrepairs = 0\n",
    final={"worse": "failed"},
)
MEDDLING = Play(
    "meddling",
    {
        "a": {"does": ["make work/@.txt x"]},
        "b": {
            "depends_on": ["a"],
            "does": ["make work/@.txt x", "commit", "sh printf nobody-may-%s read-this", f"once {MEDDLES}"],
        },
        "c": {"depends_on": ["b"], "does": ["make work/@.txt x", "commit", f"once {LEADS_ASTRAY}"]},
    },
    config='[secrets]\nenv = ["MY_TOKEN"]\n' + SETTLED,
    slots=1,
)
REVIEW = Play(
    "review",
    {
        "begin": {"gate": "start", "does": ["make work/@.txt x"]},
        "land": {"gate": "land", "does": ["make work/@.txt x"]},
        "no": {"gate": "land", "does": ["make work/@.txt x"]},
    },
    (
        RUN,
        tell("review", "show", "begin"),
        tell("review", "approve", "begin"),
        tell("review", "show", "land"),
        tell("review", "approve", "land"),
        tell("review", "reject", "no", "--reason", "not so"),
        RUN,
        tell("land", "no"),
        RUN,
    ),
    final={"no": "review"},
)
STEER = Play(
    "steering",
    {
        "a": {"does": ["make work/@.txt x"]},
        "b": {"does": ["make work/@.txt x", "exit"]},
        "gone": {"does": ["make work/@.txt x"]},
        "worse": {"does": ["sh mkdir -p work; echo BAD > work/worse.txt"], "retries": 0},
    },
    (
        tell("plan"),
        tell("lint"),
        tell("pause"),
        tell("resume"),
        tell("slots", "2"),
        tell("hold", "a"),
        tell("unhold", "a"),
        tell("bump", "a", "high"),
        tell("cancel", "gone"),
        tell("status"),
        RUN,
        tell("retry", "worse"),
        Step(store=("raise_alarm", "look at this", 1.0)),
        Step(store=("take_off", {"a": "somebody has taken it off"}, "look at that", 1.0)),
        tell("resume"),
        RUN,
    ),
    config="[landing]\nrepairs = 0\n",
    final={"gone": "cancelled", "worse": "failed"},
)
STOPPED = Play(
    "stopped",
    {
        "a": {
            "does": [
                "make work/@.txt x",
                STOPS,
            ]
        },
        "b": {"does": ["make work/@.txt x"]},
    },
    (RUN, RUN),
    config=SETTLED,
)
DOUBT = Play(
    "doubt",
    {
        "a": {"does": ["make work/@.txt x"]},
        "b": {"depends_on": ["a"], "does": ["make work/@.txt x"]},
    },
    config="[landing]\nrepairs = 0\nverify = ['ROOT/doubt.sh']\n" + SETTLED,
    scripts={"doubt.sh": DOUBTFUL},
    final={"b": "landed|failed"},
)
ASKED_BACK = Play(
    "asked back",
    {"a": {"does": ["make work/@.txt x"]}},
    (RUN, tell("review", "show", "a"), tell("review", "approve", "a"), RUN),
    config="[landing]\nverify = ['ROOT/edits.sh']\n" + SETTLED,
    scripts={"edits.sh": EDITS},
)
BRANCH = Play("branch", {"a": {"does": ["make work/@.txt x"]}}, config="[landing]\nmode = 'branch'\n", lands=False)
CLONES = Play(
    "clones",
    {
        "a": {"touches": ["/work/a*", "/area/0.txt"], "does": ["make work/@.txt x", "add area/0.txt a", "commit"]},
        "b": {"touches": ["/work/b*", "/area/0.txt"], "does": ["make work/@.txt x", "drop", "make work/@-2.txt y"]},
        "c": {"does": ["make work/@.txt BAD", "commit", "make work/@-2.txt y"]},
    },
    (RUN, Step(RUN.args, prepares=lambda yard: no_more_clones(yard))),
    config='[worktrees]\nisolation = "clone"\n' + SETTLED,
    slots=1,
)
LOCAL = Play(
    "local",
    {
        "a": {"touches": ["/work/a*", "/area/0.txt"], "does": ["make work/@.txt x", "add area/0.txt a"]},
        "b": {"touches": ["/work/b*", "/area/0.txt"], "does": ["make work/@.txt x", "add area/0.txt b"]},
    },
    local=True,
)
HANDS = Play(
    "hands",
    {"a": {"does": ["make work/@.txt x", "commit"]}},
    (
        Step(("init",), prepares=lambda yard: unmake(yard)),
        Step(
            ("add", "A title", "--touches", "/work/new*", "--body", "do: make work/@.txt x"),
            prepares=lambda yard: put_back(yard),
        ),
        tell("hook", "uninstall"),
        RUN,
        tell("checkout", "a"),
        tell("revert", "a"),
        RUN,
        Step(("push",), prepares=lambda yard: commit_behind(yard, "1")),
        tell("hook", "install", "--gate"),
        Step(by=("git", "push", "-q"), prepares=lambda yard: commit_behind(yard, "2")),
        tell("hook", "uninstall"),
        Step(("push",), prepares=lambda yard: commit_in_the_way(yard)),
        RUN,
    ),
    unwatched=True,
)
PLAYS = (
    *(WORK, CONFLICT, RESTART, WAY, REAL, PUSHING, REFUSED, VOID, HALF, ROOM, RESTORED, MEDDLING),
    *(REVIEW, STEER, STOPPED, DOUBT, ASKED_BACK, BRANCH, CLONES, LOCAL, HANDS),
)


def plant_half_made(yard: Yard) -> None:
    """What a `git worktree add` leaves that was killed; and whatever else is put right at a start."""
    control = yard.scene.control
    half = control / "worktrees" / "9"
    half.mkdir(parents=True, exist_ok=True)
    (half / "locked").write_text("initializing")
    (half.with_name("8")).mkdir(exist_ok=True)
    (control / "HEAD.lock").touch()
    (control / "refs" / "heads").mkdir(exist_ok=True)
    (control / "refs" / "heads" / "loose").write_text(yard.git("rev-parse", "HEAD") + "\n")
    (control / "worktrees" / "1" / "HEAD").write_text("1" * 40 + "\n")
    (control / "refs" / "ticketd" / "a" / "1").unlink(missing_ok=True)


def break_tree(yard: Yard) -> None:
    """Git cannot work with it any more, and the next ticket is to."""
    (yard.scene.control / "worktrees" / "1" / "commondir").unlink(missing_ok=True)
    if not (yard.work / "tickets" / "b.md").exists():
        yard.ticket("b", does=["make work/@.txt x"])


def outlast(yard: Yard) -> None:
    """Until what has landed has been kept for long enough."""
    logs = max(path.stat().st_mtime for path in (yard.scene.state / "logs").rglob("*"))
    while time.time() < logs + KEPT_FOR_S + 0.1:
        time.sleep(0.05)


def leave_a_step(yard: Yard) -> None:
    """Of a daemon that was killed."""
    (yard.scene.state / "runs" / "b" / "1-verify").mkdir(parents=True, exist_ok=True)


def lose_the_store(yard: Yard) -> None:
    """Once; and an attempt has left a trace that no backup knows of."""
    if not list(yard.scene.state.glob("store.lost-*")):
        (yard.scene.state / "runs" / "worse" / "3").mkdir(exist_ok=True)
        (yard.scene.state / "store.db").write_text("this is no store")


def no_more_clones(yard: Yard) -> None:
    config = yard.work / "ticketd.toml"
    config.write_text(config.read_text().replace('isolation = "clone"', 'isolation = "worktree"'))
    if not (yard.work / "tickets" / "d.md").exists():
        yard.ticket("d", does=["make work/@.txt x"])


def unmake(yard: Yard) -> None:
    """As before `ticketd init`, with a hook of one's own."""
    if not (yard.root / "config").exists():
        (yard.work / "ticketd.toml").rename(yard.root / "config")
        (yard.work / "tickets").rename(yard.root / "tickets")
        hook = yard.work / ".git" / "hooks" / "pre-push"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 0\n")
        hook.chmod(0o755)


def put_back(yard: Yard) -> None:
    """What `init` wrote gives way to what the play is about."""
    for path in (yard.root / "tickets").glob("*.md"):
        shutil.copy(path, yard.work / "tickets")
    shutil.copy(yard.root / "config", yard.work / "ticketd.toml")


def commit_behind(yard: Yard, name: str) -> None:
    """A commit of the user's own, on what the target has left."""
    if not (yard.work / f"mine-{name}.txt").exists():
        (yard.work / f"mine-{name}.txt").write_text("mine\n")
        yard.git("add", f"mine-{name}.txt")
        yard.git("commit", "-qm", f"mine {name}")


def commit_in_the_way(yard: Yard) -> None:
    """A commit of the user's own, that conflicts with the target's newest."""
    if not (yard.root / "third").exists():
        yard.git("clone", "-q", str(yard.root / "origin.git"), str(yard.root / "third"))
        for where, word in ((yard.root / "third", "theirs"), (yard.work, "mine")):
            (where / "area" / "3.txt").write_text(word)
            yard.git("-C", str(where), "commit", "-qam", word)
        yard.git("-C", str(yard.root / "third"), "push", "-q", "origin", "HEAD:main")
