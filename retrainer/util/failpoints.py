"""Named failpoints: places where tests make the process fail, to check that nothing is lost, duplicated or hidden.

``RETRAINER_CRASH_AT=before-post`` kills the process with SIGKILL when it first reaches that point, ``before-post:3`` at
the third time. ``RETRAINER_RAISE_AT`` raises a `Fault` there, and ``RETRAINER_HANG_AT`` never returns, once each.
Several points are separated by commas. If no point is armed, a point costs one look-up in an empty dictionary.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from typing import Literal, get_args

Crash = Literal[
    "before-commit",
    "after-commit",
    "after-acknowledge",
    "before-post",
    "after-post",
    "after-submitted",
    "before-release",
    "mid-migration",
]
"""Places on the path of an event and of a run."""
Kind = Literal[
    "engine",
    "source",
    "held",
    "sweep",
    "replay",
    "lead",
    "taking",
    "web",
    "claim",
    "submit",
    "observe",
    "follow",
    "watch",
    "rules",
    "timer",
    "standby-intake",
    "inbox-drainer",
]
"""The start of each turn of a thread of that kind."""
Point = Crash | Kind
POINTS = frozenset((*get_args(Crash), *get_args(Kind)))
Action = Literal["kill", "raise", "hang"]
VARIABLES: dict[str, Action] = {
    "RETRAINER_CRASH_AT": "kill",
    "RETRAINER_RAISE_AT": "raise",
    "RETRAINER_HANG_AT": "hang",
}


class Fault(BaseException):
    """Raised at a failpoint. It is no `Exception`, so that `except Exception` does not catch it."""


@dataclass(slots=True)
class _Armed:
    action: Action
    left: int


_armed: dict[str, _Armed] = {}
_lock = threading.Lock()
_never = threading.Event()


def arm(point: str, action: Action, count: int = 1) -> None:
    """Fail at `point` when it is reached for the `count`-th time. Raise ValueError if there is no such point."""
    if point not in POINTS:
        raise ValueError(f"there is no failpoint {point!r}: name one of {', '.join(sorted(POINTS))}")
    _armed[point] = _Armed(action, count)


def disarm() -> None:
    """Disarm all points, and release the threads that hang at one."""
    global _never  # noqa: PLW0603 - hanging threads wait for the previous one
    _armed.clear()
    _never.set()
    _never = threading.Event()


def hit(point: Point) -> None:
    """Fail here if this point is armed."""
    if point in _armed:
        _fail(point)


def _fail(point: str) -> None:
    with _lock:
        armed = _armed[point]
        armed.left -= 1
        if armed.left > 0:
            return
        if armed.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        del _armed[point]
    if armed.action == "raise":
        raise Fault(point)
    _never.wait()


for _variable, _action in VARIABLES.items():
    for _text in filter(None, os.environ.get(_variable, "").split(",")):
        _point, _, _count = _text.partition(":")
        arm(_point, _action, int(_count or 1))
