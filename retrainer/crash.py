"""Named crash points: where the tests kill the process, to show that a restart loses and doubles nothing.

``RETRAINER_CRASH_AT=before-post`` kills the process with SIGKILL when it first gets there, ``before-post:3`` at the
third time. Unset, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Literal

Point = Literal[
    "before-commit",
    "after-commit",
    "after-acknowledge",
    "before-post",
    "after-post",
    "after-submitted",
    "before-release",
    "mid-migration",
]

_point, _, _count = os.environ.get("RETRAINER_CRASH_AT", "").partition(":")
_left = int(_count or 1)
_lock = threading.Lock()


def reach(point: Point) -> None:
    """Die here if the environment asks for it."""
    global _left  # noqa: PLW0603 - one process dies once
    if point != _point:
        return
    with _lock:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
