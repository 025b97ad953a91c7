"""Where a thread is, by its stack: in its own work, or in a call to another system."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from types import FrameType

PARTIES: Final = {
    "sqlalchemy": "the store",
    "psycopg": "the store",
    "sqlite3": "the store",
    "kafka": "the broker",
    "urllib3": "a server",
    "requests": "a server",
    "httpx": "a server",
    "httpcore": "a server",
    "http": "a server",
    "ssl": "a server",
    "socket": "a server",
    "concurrent": "another thread",
    "queue": "another thread",
}
"""The system that a thread waits for while it runs code of this package."""


def where(thread: threading.Thread) -> str:
    """Where a thread is in the code of retrainer; empty if nowhere."""
    for frame in _frames(thread):
        if _is_ours(frame):
            return f"{frame.f_globals['__name__']}:{frame.f_lineno} {frame.f_code.co_name}"
    return ""


def party(thread: threading.Thread) -> str:
    """The system that a thread waits for now; empty if it is in its own work."""
    for frame in _frames(thread):
        if _is_ours(frame):
            return "the store" if _module(frame).startswith("retrainer.store") else ""
        root = _module(frame).partition(".")[0]
        if root in PARTIES:
            return PARTIES[root]
    return ""


def _frames(thread: threading.Thread) -> Iterator[FrameType]:
    """The stack of a thread, innermost first."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - there is no other way to see it
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] == "retrainer"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
