"""The part of the daemon's environment that runners and steps receive: locations, and no secrets."""

from __future__ import annotations

import os

KEPT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "SHELL", "TZ", "USER")
"""Variables for a step, in addition to those of its template."""
_RUNNER = (*KEPT, "PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "TMPDIR")


def for_runner() -> dict[str, str]:
    """Return the environment of a runner: that of a step, and what is needed to start this interpreter."""
    return {name: os.environ[name] for name in _RUNNER if name in os.environ}
