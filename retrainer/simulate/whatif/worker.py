"""The process of simulations: reads jobs from its input, and writes progress and answers to its output.

Both are lines of JSON. It has no other way to the daemon. It ends when its input is closed, so that it never outlives
the daemon.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.simulate.whatif.answer import Answer, PlayedMemory
from retrainer.simulate.whatif.job import CANCEL, StoreAddress, WhatIfError, WhatIfJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.simulate.whatif.variants import ChildPlay

NICE = 10


class JobQueue:
    """Jobs in the order of their lines. A cancelled one loses its child; what else it computes serves the next one."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._heard = self._taken = self._cancelled = 0
        self._child: ChildPlay | None = None

    def hear(self) -> None:
        """Read lines. End all processes of the simulation when the daemon closes the input, or is gone."""
        for line in sys.stdin.buffer:
            if line == CANCEL:
                self._cancel()
            else:
                self._heard += 1
                self._lines.put(line)
        os.killpg(0, signal.SIGKILL)

    def take(self) -> WhatIfJob:
        """Wait for the next job."""
        line = self._lines.get()
        with self._lock:
            self._taken, self._child = self._taken + 1, None
        return read_job(orjson.loads(line))

    def watch(self, child: ChildPlay) -> None:
        """Stop the child of the job that was taken last if this job is cancelled, or was before."""
        with self._lock:
            self._child = child
            if self._cancelled == self._taken:
                child.stop()

    def _cancel(self) -> None:
        with self._lock:
            self._cancelled = self._heard
            if self._child is not None and self._taken == self._heard:
                self._child.stop()


def main() -> None:
    """Answer one job after the other. What the last one read and played is used again if the next one needs the same.

    The process ends after a job that failed, except one that was refused.
    """
    jobs, memory = JobQueue(), PlayedMemory()
    threading.Thread(target=jobs.hear, daemon=True).start()
    answered: Mapping[str, Any] = {}
    while "error" not in answered:
        job = jobs.take()
        limit(job)
        answered = _result(job, memory, jobs.watch)
        emit(answered)
    os._exit(0)


def read_job(given: Mapping[str, Any]) -> WhatIfJob:
    return WhatIfJob(**{**given, "store": StoreAddress(**given["store"])})


def as_line(job: WhatIfJob) -> bytes:
    return orjson.dumps(asdict(job)) + b"\n"


def limit(job: WhatIfJob) -> None:
    """Bound memory and CPU time of this process and those that it starts, and let all others go first.

    The CPU time is that of one job, so the limit grows by what earlier ones used.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + job.seconds
    for kind, most in (
        (resource.RLIMIT_DATA, job.memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _result(job: WhatIfJob, memory: PlayedMemory, watch: Callable[[ChildPlay], None]) -> dict[str, Any]:
    """Return ``result``, or ``refused`` with a message for the user, or ``error`` if the process may not go on."""
    try:
        return {
            "result": Answer(job, memory, watch, lambda share, words: emit({"share": share, "words": words})).make()
        }
    except MemoryError:
        return {"error": f"it needs more than {job.memory >> 20} MiB of memory: choose a shorter period"}
    except WhatIfError as error:
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 - the daemon reports it, whatever it is
        return {"error": f"it failed: {type(error).__name__}: {error}"[:1000]}


def emit(line: Mapping[str, Any]) -> None:
    os.write(1, orjson.dumps(line) + b"\n")


if __name__ == "__main__":
    main()
