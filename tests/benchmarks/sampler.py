"""A sampling profiler of CPU time by thread and function.

Each sample is weighted by the CPU time of the thread since the previous one, so waiting counts for nothing. The
switch interval is shorter than usual: otherwise most samples would follow a call that released the interpreter's
lock, and the computation before it would be attributed to that call. This costs some speed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

EVERY = 0.001
GIVE_WAY = 0.0002
HERE = Path(__file__).parents[2]


class Sampler:
    """Samples from `__enter__` to `__exit__`. `report` returns the result."""

    def __init__(self) -> None:
        self.own: dict[str, Counter[str]] = defaultdict(Counter)
        self.under: dict[str, Counter[str]] = defaultdict(Counter)
        self._used: dict[int, float] = {}
        self._usual = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._usual = sys.getswitchinterval()
        sys.setswitchinterval(GIVE_WAY)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        sys.setswitchinterval(self._usual)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is not self._thread and thread.ident in frames:
                    self._look(thread, frames[thread.ident])

    def _look(self, thread: threading.Thread, frame: FrameType) -> None:
        assert thread.ident is not None
        used = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        worth = used - self._used.get(thread.ident, used)
        self._used[thread.ident] = used
        if worth <= 0:
            return
        stack = _stack(frame)
        self.own[thread.name][stack[0]] += worth  # type: ignore[assignment]
        for place in set(stack):
            self.under[thread.name][place] += worth  # type: ignore[assignment]

    def report(self, events: int, top: int = 15) -> str:
        """Tables of the threads with at least one percent: share of all CPU time, and µs for each event."""
        total = sum(sum(counts.values()) for counts in self.own.values())
        lines = [f"{total:.2f} s of CPU time, {1e6 * total / events:.1f} us an event"]
        for thread, counts in sorted(self.own.items(), key=lambda item: -sum(item[1].values())):
            used = sum(counts.values())
            if used < total / 100:
                continue
            lines.append(f"\nthread {thread}: {used / total:.1%}, {1e6 * used / events:.1f} us an event")
            lines += _table("itself", counts, total, events, top)
            lines += _table("with what it calls", self.under[thread], total, events, top + 20)
        return "\n".join(lines)


def _table(title: str, counts: Counter[str], total: float, events: int, top: int) -> list[str]:
    rows = [f"  {share / total:6.1%} {1e6 * share / events:7.2f} us  {name}" for name, share in counts.most_common(top)]
    return [f"  -- {title}", *rows]


def _stack(frame: FrameType | None) -> list[str]:
    found = []
    while frame is not None:
        code = frame.f_code
        found.append(f"{_short(code.co_filename)}:{code.co_firstlineno} {code.co_qualname}")
        frame = frame.f_back
    return found


def _short(path: str) -> str:
    """The path relative to the repository, or from the name of the library."""
    return path.removeprefix(f"{HERE}/").rpartition("site-packages/")[2].rpartition("lib/python")[2]
