"""The process of a simulation: reads a job from its input, and writes progress and the answer to its output.

Both are lines of JSON.

It has no other way to the daemon. It ends when its input is closed, so that it never outlives the daemon.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.simulate.whatif.answer import answer
from retrainer.simulate.whatif.job import StoreAddress, WhatIfError, WhatIfJob

if TYPE_CHECKING:
    from collections.abc import Mapping

NICE = 10


def main() -> None:
    """Answer one job, and end."""
    line = sys.stdin.buffer.readline()
    if not line:
        return
    job = read_job(orjson.loads(line))
    threading.Thread(target=_end_with_input, daemon=True).start()
    limit(job)
    emit(_result(job))
    os._exit(0)


def read_job(given: Mapping[str, Any]) -> WhatIfJob:
    return WhatIfJob(**{**given, "store": StoreAddress(**given["store"])})


def as_line(job: WhatIfJob) -> bytes:
    return orjson.dumps(asdict(job)) + b"\n"


def limit(job: WhatIfJob) -> None:
    """Bound memory and CPU time of this process and those that it starts, and let all others go first."""
    resource.setrlimit(resource.RLIMIT_DATA, (job.memory, job.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (job.seconds, job.seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end_with_input() -> None:
    """End all processes of the simulation when the daemon closes the input, or is gone."""
    sys.stdin.buffer.read()
    os.killpg(0, 9)


def _result(job: WhatIfJob) -> dict[str, Any]:
    try:
        return {"result": answer(job, lambda share, words: emit({"share": share, "words": words}))}
    except MemoryError:
        return {"error": f"it needs more than {job.memory >> 20} MiB of memory: choose a shorter period"}
    except WhatIfError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - told to the daemon, whatever it is
        return {"error": f"it failed: {type(error).__name__}: {error}"[:1000]}


def emit(line: Mapping[str, Any]) -> None:
    os.write(1, orjson.dumps(line) + b"\n")


if __name__ == "__main__":
    main()
