"""What runners and their steps get of the daemon's environment: what says where things are, and no secrets."""

from __future__ import annotations

import os

KEPT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "SHELL", "TZ", "USER")
"""What a step gets, beside what its template gives it."""
_RUNNER = (*KEPT, "PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "TMPDIR")


def for_runner() -> dict[str, str]:
    """Return the environment of a runner: that of a step, and what it takes to start this interpreter again."""
    return {name: os.environ[name] for name in _RUNNER if name in os.environ}
