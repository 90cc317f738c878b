"""The process beside each agent: starts it, outlives the daemon, ends what it leaves behind, records how it went.

Runs alone, as a package of its own (`local.command`): what is here imports nothing of ticketd, and itself only by
relative names. It must come up in milliseconds and must not change under a run when ticketd is upgraded. That is also
why it keeps to C modules: `json`, `signal`, `socket`, `contextlib`, `pathlib` and `dataclasses` cost 5 to 10 ms each
(they bring `re` or `enum`), `ctypes` 3. A module more costs 0.2.

Files in the run directory (mode 0700, files 0600); the daemon's side of them is in `run.py`:

spec.json       what to run; written by the daemon, once
lock            flocked by the supervisor for its whole life: whether a run lives is asked of this lock, never of a pid
void            written by the daemon under the lock: this run must never begin
started.json    durable before the agent's program is executed
heartbeat.json  replaced every `heartbeat_s`; names all that lives of the run, for whoever finds the supervisor killed
end             written by the daemon, then SIGTERM: end the tree with this grace. Either alone does too, so that a
                daemon that cannot be sure of the supervisor's pid need not signal it
exit.json       a preallocated slip (exit.tmp) overwritten in place and renamed: a full disk cannot lose the exit code

A process tree is held by being its subreaper (Linux): whatever loses its parent becomes a child of the supervisor, in
whatever session it hides, and `wait` answers ECHILD only when nothing is left. Only then is the exit handed in: what
no signal ends (it hangs in the kernel, or is another user's) keeps the run alive, and the heartbeat names it. Where
control groups (v2) may be written, the run has one too, which ends what forks faster than it can be counted. Should the
supervisor be killed, the agent dies with it (parent-death signal); what else is left is found by the control group, by
the heartbeat and by the run's mark in its environment: `survivors.py`. Without a subreaper, the mark and the process
group are all there is. Where memory runs out, the kernel takes the agent before supervisor and daemon.
"""
