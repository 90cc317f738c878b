"""What people do while ticketd works: they push, steer, edit, clean up, and take back what is not theirs to take."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from chaos_aim import Blow, below, live_attempts, where_is
from chaos_processes import kill_daemon
from chaos_scene import Ground, run, wait
from invariant_scene import everything_in, git
from invariants import wrong_outside

ALARM_S = 60.0


def push_by_hand(ground: Ground, blow: Blow) -> str:
    ground.push_by_hand()
    return "by hand"


def take_commits_off(ground: Ground, blow: Blow) -> str:
    """With force, of what ticketd has seen there. It has to raise the alarm and to push nothing until a person has
    looked; who now and then puts all back first."""
    known = ground.known_target()
    if known is None or git(ground.origin, "cat-file", "-t", known, ok=False) != "commit":
        return "no target is known"
    back = git(ground.origin, "rev-parse", "--verify", "--quiet", f"{known}~{1 + int(blow.pick * 4)}", ok=False)
    if not back:
        return "there is nothing to take off"
    old, tries = "", 0
    while not (old := ground.take_off(back)) and tries < 20:
        tries += 1
        time.sleep(0.2)
        tend_remote(ground)
    if not old:
        return "none could be taken off"
    if not wait(lambda: ground.alarm() or ground.is_down(), ALARM_S):
        ground.complain(f"main went from {old[:9]} back to {back[:9]}, and no alarm was raised within {ALARM_S:.0f} s")
    is_put_back = blow.hold < 1.5 and ground.move_target(back, old)
    if ground.is_down():
        return f"{old[:9]} to {back[:9]}, and the daemon is down"
    done = ground.ticketd("resume")
    put_back = " and put back" if is_put_back else ""
    return f"{old[:9]} to {back[:9]}{put_back}; resume: exit {done.returncode}"


def steer(ground: Ground, blow: Blow) -> str:
    """What a person asks for, about one of the last tickets."""
    number = max(1, ground.asked - int(blow.hold * 4))
    verbs = ("cancel", "retry", "hold", "unhold", "land", "diff", "show")
    verb = verbs[int(blow.pick * len(verbs))]
    try:
        done = ground.ticketd(verb, f"t{number:04}", limit_s=60)
    except subprocess.TimeoutExpired:
        return f"{verb} t{number:04} did not end"
    if b"Traceback" in done.stderr:
        (ground.root / "tracebacks").open("ab").write(done.stderr)
    return f"{verb} t{number:04}: exit {done.returncode}"


def tend_remote(ground: Ground, age_s: float = 3.0) -> None:
    """A push that is killed there leaves locks behind, which only those who keep the remote may take away."""
    if any(where_is(pid) == ground.origin for pid in below(ground, "git")):
        return
    for lock in (*ground.origin.glob("*.lock"), *ground.origin.glob("refs/heads/*.lock")):
        if time.time() - lock.stat().st_mtime >= age_s:
            lock.unlink()


# --- the checkout ---


def break_config(ground: Ground, blow: Blow) -> str:
    """Broken, or gone; a daemon that is started meanwhile goes on by the last good one, if a run is under way."""
    path = ground.work / "ticketd.toml"
    if blow.pick < 0.3:
        path.unlink()
    else:
        path.write_text("slots = [\n")
    if anew := blow.pick > 0.6:
        kill_daemon(ground, blow)
        under_way = bool(live_attempts(ground))
        ground.start()
        if under_way and (not wait(lambda: ground.is_up() or ground.is_down(), 30) or ground.is_down()):
            ground.complain(f"no daemon goes on by the last good settings: {ground.said()[-500:]}")
    time.sleep(blow.hold)
    ground.configure()
    how = f"{'deleted' if blow.pick < 0.3 else 'broken'} for {blow.hold:.1f} s"
    return f"{how}, with a new daemon" if anew else how


def one_ticket(ground: Ground, blow: Blow) -> Path:
    """One of the last; those before are over."""
    return ground.work / "tickets" / f"t{max(1, ground.asked - int(blow.hold * 4)):04}.md"


def drop_ticket_file(ground: Ground, blow: Blow) -> str:
    path = one_ticket(ground, blow)
    text = path.read_text()
    path.unlink()
    time.sleep(blow.hold)
    path.write_text(text)
    return path.name


def rename_ticket_file(ground: Ground, blow: Blow) -> str:
    """It is another ticket then, and the old one again when it has its name back."""
    path = one_ticket(ground, blow)
    other = path.with_name(f"r{path.stem[1:]}.md")
    path.rename(other)
    time.sleep(blow.hold)
    other.rename(path)
    return f"{path.name} was {other.name} for {blow.hold:.1f} s"


def edit_ticket_file(ground: Ground, blow: Blow) -> str:
    path = one_ticket(ground, blow)
    text = path.read_text()
    if blow.pick < 0.3:
        path.write_text(text.replace("touches:", "touchse:", 1))
        time.sleep(blow.hold)
        path.write_text(text)
        return f"{path.name} had an error for {blow.hold:.1f} s"
    path.write_text(f"{text}do: make work/@-{int(blow.pick * 1000)}.txt edited\n")
    return f"{path.name} has a line more"


def clean_checkout(ground: Ground, blow: Blow) -> str:
    """`git clean -ffdx` takes tickets and settings with it, which git does not know of here."""
    ignored = [ground.work / "ticketd.toml", *(ground.work / "tickets").iterdir()]
    kept = {path: path.read_text() for path in ignored}
    run("git", "-C", str(ground.work), "clean", "-ffdxq")
    time.sleep(blow.hold)
    (ground.work / "tickets").mkdir(exist_ok=True)
    for path, text in kept.items():
        path.write_text(text)
    return f"{len(kept)} files were gone for {blow.hold:.1f} s"


def collect_garbage(ground: Ground, blow: Blow) -> str:
    """In the user's own repository, where nothing may have changed until then but by this."""
    for wrong in wrong_outside(ground.scene):
        ground.complain(wrong)
    run("git", "-C", str(ground.work), "gc", "--quiet", "--prune=now")
    mine = ground.work / ".git"
    before = ground.scene.untouched
    for path in [path for path in before if Path(path).is_relative_to(mine)]:
        del before[path]
    before |= everything_in(mine)
    return "git gc --prune=now"
