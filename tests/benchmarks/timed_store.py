"""`python -m tests.benchmarks.timed_store SETTINGS HOLDS`: the daemon, which also writes how long its store was held.

The product is not instrumented: this process replaces the methods of `SqliteStore` before it starts the daemon. Each
line of HOLDS is the end of a hold in epoch seconds, its length and its processor time in milliseconds, and the thread.
Processor time tells how much of a hold is due to other processes of the machine.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from retrainer.daemon.main import main
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

LEAST_MS = 0.5
"""Shorter holds are not written."""


@dataclass(frozen=True, slots=True)
class Hold:
    """``ended``: epoch seconds. ``wall``, ``cpu``: milliseconds."""

    ended: float
    wall: float
    cpu: float
    thread: str

    @property
    def of_request(self) -> bool:
        return self.thread.startswith("AnyIO")


def holds(path: Path, since: float) -> list[Hold]:
    """Return the holds that ended since then (epoch seconds)."""
    found = (line.rstrip("\n").split(" ", 3) for line in path.read_text().splitlines())
    return [Hold(float(f[0]), float(f[1]), float(f[2]), f[3]) for f in found if float(f[0]) >= since]


class _Timer:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._depth = threading.local()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Time a hold. The lock is already held; one hold within another counts once."""
        depth = getattr(self._depth, "value", 0)
        self._depth.value = depth + 1
        began, used = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self._depth.value = depth
            wall, cpu = 1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - used)
            if depth == 0 and wall >= LEAST_MS:
                self._out.write(f"{time.time():.6f} {wall:.3f} {cpu:.3f} {threading.current_thread().name}\n")


def time_the_store(out: TextIO) -> None:
    """Replace the store's methods: they take its lock before the time begins."""
    timer, read, write = _Timer(out), SqliteStore.read, SqliteStore.write

    def timed_read(self: SqliteStore, fn: Callable[[Connection], Any]) -> Any:
        with self._lock, timer.held():
            return read(self, fn)

    @contextmanager
    def timed_write(self: SqliteStore, just_before: Callable[[], None] = lambda: None) -> Iterator[Connection]:
        with self._lock, timer.held(), write(self, just_before) as conn:
            yield conn

    SqliteStore.read = timed_read  # type: ignore[method-assign,assignment]
    SqliteStore.write = timed_write  # type: ignore[method-assign]


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", buffering=1) as lines:
        time_the_store(lines)
        code = main(sys.argv[1])
    raise SystemExit(code)
