"""A forge whose program stands on PATH, and what people do there: merge, close, push to a branch."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("forge_program.py")


def git(where: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class FakeForge:
    """`folder` belongs on PATH; `origin` is the repository that the forge serves."""

    folder: Path
    origin: Path

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    def read(self) -> Any:
        return json.loads(self.state.read_text())

    @contextmanager
    def changing(self) -> Iterator[Any]:
        """While its program is not at it."""
        with self.state.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            yield state
            fresh = self.state.with_suffix(".new")
            fresh.write_text(json.dumps(state))
            fresh.replace(self.state)

    def pulls(self) -> list[Any]:
        return list(self.read()["pulls"])

    def calls(self, verb: str) -> int:
        return sum(" ".join(call[:2]) == verb for call in self.read()["calls"])

    def fail(self, verb: str, says: str, code: int = 1) -> None:
        with self.changing() as state:
            state["faults"] = {verb: {"says": says, "code": code}}

    def mend(self) -> None:
        with self.changing() as state:
            state["faults"] = {}

    def change(self, number: int, **values: object) -> None:
        with self.changing() as state:
            state["pulls"][number - 1].update(values)

    def close(self, number: int) -> None:
        self.change(number, state="closed")

    def merge(self, number: int, how: str = "merge") -> str:
        """As the button does: a merge commit, or all squashed into one. What main is at then."""
        head = self.read()["pulls"][number - 1]["head"]
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            git(self.folder, "clone", "-q", "-b", "main", str(self.origin), scratch)
            where = Path(scratch)
            if how == "squash":
                git(where, "merge", "-q", "--squash", f"origin/{head}")
                git(where, "commit", "-q", "-m", f"Squashed (#{number})")
            else:
                git(where, "merge", "-q", "--no-ff", "-m", f"Merge pull request #{number}", f"origin/{head}")
            git(where, "push", "-q", "origin", "HEAD:main")
            sha = git(where, "rev-parse", "HEAD")
        self.change(number, state="merged", merged_as=sha)
        return sha


def make_forge(folder: Path, origin: Path, *names: str) -> FakeForge:
    folder.mkdir()
    for name in names:
        shutil.copy(PROGRAM, folder / name)
        (folder / name).chmod(0o755)
    forge = FakeForge(folder, origin)
    forge.state.write_text(json.dumps({"origin": str(origin), "pulls": [], "calls": [], "faults": {}}))
    return forge
