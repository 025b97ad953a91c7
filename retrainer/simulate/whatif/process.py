"""One process of a simulation, as its parent sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.simulate.whatif.job import CANCEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_ANSWER = 4 << 20
"""Maximum bytes of an answer."""
_NEEDED = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TZ", "TZDIR", "SSL_CERT_FILE")
"""Variables of the environment that the process gets, and those of libpq. The others may hold secrets."""
_WITHOUT_MEMORY = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)
"""How libraries in C end that get no memory."""
_CGROUP = Path("/sys/fs/cgroup")
MOST_MEMORY = 512 << 20
LEAST_MEMORY = 96 << 20
"""Limits of the memory of one process; two play at the same time."""


class SimulationProcess:
    """Started at once; it waits for `run`, which may be called again. `kill` may be called from any thread.

    ``memory`` is its limit in bytes, set by its first job; 0 before.
    """

    def __init__(self) -> None:
        environment = {name: text for name, text in os.environ.items() if name in _NEEDED or name.startswith("PG")}
        self._late = ""
        self.memory = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "retrainer.simulate.whatif.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )

    def run(self, job: bytes, seconds: float, heard: Callable[[Mapping[str, Any]], None]) -> bytes:
        """Send a job, pass on its progress, and return the last line that the process wrote; empty if there is none.

        The process is killed after ``seconds``, and if there is no answer.
        """
        timer = threading.Timer(seconds, self._give_up, (seconds,))
        timer.daemon = True
        timer.start()
        answer = b""
        try:
            answer = self._converse(job, heard)
        finally:
            timer.cancel()
            if not answer:
                self.kill()
        return answer

    def cancel(self) -> None:
        """Cancel the job. What it has read stays for the next one."""
        self._send(CANCEL)

    def _give_up(self, seconds: float) -> None:
        self._late = f"it took longer than {seconds:.0f} s: choose a shorter period, or try again"
        self.kill()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def _converse(self, job: bytes, heard: Callable[[Mapping[str, Any]], None]) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self._send(job)
        while line := self._process.stdout.readline(MOST_ANSWER):
            if not line.startswith(b'{"share"'):
                return line
            heard(orjson.loads(line))
        return b""

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with suppress(BrokenPipeError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def kill(self) -> None:
        """Kill the process and its child, and take its exit status."""
        if self._process.returncode is None:  # else its number may be that of another process by now
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """Kill the process, and close its input and output. Not while another thread is in `run`."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    @property
    def how_it_ended(self) -> str:
        """Why a process that gave no answer ended, in words."""
        if self._late:
            return self._late
        code = self._process.returncode
        if code == -signal.SIGXCPU:
            return "it needed more processor time than a simulation may use: choose a shorter period"
        name = signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"
        if code in _WITHOUT_MEMORY:
            return f"it probably needs more than {self.memory >> 20} MiB of memory ({name}): choose a shorter period"
        return f"its process ended without an answer ({name}): choose a shorter period, or try again"


def memory_for_one(cgroup: Path = _CGROUP) -> int:
    """Return how many bytes each of two processes may use: at most a third of what the container has left."""
    try:
        most = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        words = (cgroup / "memory.stat").read_text().split()
    except (OSError, ValueError):  # no limit, or no container
        return MOST_MEMORY
    reclaimable = int(words[words.index("inactive_file") + 1]) if "inactive_file" in words else 0
    return min(MOST_MEMORY, (most - used + reclaimable) // 3)
