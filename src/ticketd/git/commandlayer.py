"""GitPython's command layer, without the rest of it.

`import git` loads an object model that nobody here uses, and runs `git version`: 50 of the 110 ms that the hook took
for an up-to-date branch, which every push of a person waits for. So the package's own `__init__` is passed over
while its modules for commands are imported; to those who import it later it is as if nobody had.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from types import ModuleType

_spec = PathFinder.find_spec("git")
_passed_over = "git" not in sys.modules and _spec is not None and _spec.submodule_search_locations is not None
if _passed_over:
    assert _spec is not None
    _package = ModuleType("git")
    _package.__path__ = list(_spec.submodule_search_locations or ())
    sys.modules["git"] = _package
try:
    from git.cmd import Git as GitCommand
    from git.exc import GitCommandNotFound
finally:
    if _passed_over:
        del sys.modules["git"]

__all__ = ["GitCommand", "GitCommandNotFound"]
