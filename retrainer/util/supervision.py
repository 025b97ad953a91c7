"""Long-lived threads that are restarted, or end the process, if they fail.

A thread is a `Worker`, whose loop calls `beat` in each turn. A worker that dies is restarted where `DUTIES` says that
this is safe. Otherwise the process ends with one line in the log and the exit code `FAILED`, so that its service
manager restarts it. `Supervisor.look` finds workers that hang. The stack of a silent worker shows whether it hangs in
its own work or waits for another system: it waits if the innermost call is in a client library.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import structlog

from retrainer.util import stacks
from retrainer.util.duties import DUTIES
from retrainer.util.error_text import words
from retrainer.util.failpoints import hit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from queue import Queue, SimpleQueue

    from retrainer.util.failpoints import Kind

T = TypeVar("T")
log = structlog.get_logger()

FAILED: Final = 70
"""Exit code of a process that ends because one of its threads failed (EX_SOFTWARE)."""
LONGEST_WAIT: Final = 60.0
"""Default time in seconds to wait for a thread to stop."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a worker that died is restarted: doubled each time, from the first to the longest."""
LIVED: Final = 60.0
"""A worker that ran for this many seconds before it died counts as healthy: its pauses start from the first again."""

PATIENCE: Final = float(os.environ.get("RETRAINER_PATIENCE", "1"))
"""Factor for the times of `DUTIES`; tests use a smaller one so that they do not wait for a minute."""
TURN: Final = 5.0 * min(1.0, PATIENCE)
"""Maximum seconds of one wait of a thread. An idle thread beats this often, so that a hang is soon detected."""


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A thread that did not stop in time, and where it was then. ``hangs``: it was in its own work."""

    name: str
    at: str
    hangs: bool


class _Local(threading.local):
    worker: Worker | None = None


_local = _Local()
_running: dict[Worker, None] = {}
"""All workers of the process that have not ended."""
_left: list[LeftBehind] = []
"""Threads that did not stop in time."""


def _unarmed(line: str) -> None:
    """Outside the daemon (in tests, in `simulate`) the process does not end, only the thread."""
    log.debug("supervisor.unarmed", line=line)


_end: Callable[[str], None] = _unarmed


def arm(end: Callable[[str], None] | None = None) -> None:
    """From now on, end the process if a worker fails that cannot be restarted; `end` receives the reason."""
    global _end  # noqa: PLW0603 - there is one process
    _end = end or end_process


def fail(line: str) -> None:
    """End the process for this reason, if it is armed."""
    _end(line)


def running() -> list[Worker]:
    """All workers of the process that have not ended."""
    return list(_running)


def disarm() -> None:
    """Stop ending the process: the daemon is shutting down."""
    arm(_unarmed)


def end_process(line: str) -> None:
    """End the process at once. Work of other threads is as safe as with kill -9."""
    log.error("daemon.ends", error=line, exit_code=FAILED)
    _exit(FAILED)


def leave() -> None:
    """End the process at once with exit code 0: the remaining threads only wait for servers."""
    _exit(0)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def beat(wait: float = 0.0) -> None:
    """Report that the calling worker is alive. It may be silent for `wait` more seconds, as it waits for work.

    No effect in a thread that is no worker.
    """
    worker = _local.worker
    if worker is not None:
        worker.beat(wait)


def rest(event: threading.Event, seconds: float) -> bool:
    """Wait until `event` is set, for at most `seconds`, which may exceed `TURN`. Return whether it is set."""
    until = time.monotonic() + seconds
    while not event.is_set() and (left := until - time.monotonic()) > 0:
        step = min(left, TURN)
        beat(step)
        event.wait(step)
    beat()
    return event.is_set()


class Worker:
    """A supervised thread. `stopping` returns whether it was asked to stop; it may return only then.

    ``owner`` is the source, namespace or job that it works for, if there are several workers of its kind.
    """

    def __init__(
        self, kind: Kind, target: Callable[[], object], stopping: Callable[[], bool], *, name: str = "", owner: str = ""
    ) -> None:
        self.kind, self.owner, self.name = kind, owner, name or kind
        self.duty = DUTIES[kind]
        self.restarts = 0
        self.failed = ""
        """Why it has ended, if it was not asked to stop."""
        self.silent_for = 0.0
        """Seconds of unannounced silence in its own work, as of the last `Supervisor.look`."""
        self.waits_for = ""
        """The system that it waits for, as of the last `Supervisor.look`; empty if none, or if not for long."""
        self.abandoned = False
        self._target, self._stopping = target, stopping
        self._at, self._wait = time.monotonic(), 0.0
        self._thread = threading.Thread(target=self._main, name=self.name, daemon=True)

    def start(self) -> None:
        self._at = time.monotonic()
        _running[self] = None
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, for at most `timeout` seconds. Return at once for an abandoned worker.

        A worker that was asked to stop and has not ended by then is abandoned.
        """
        if self.abandoned or self._thread.ident is None:
            return
        self._thread.join(timeout)
        if self.is_alive() and self.stopping:
            _leave(self._thread, hangs=self.duty.died == "end" or not self.party())
            self.abandon()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping()

    def abandon(self) -> None:
        """Abandon it: it hangs, and is replaced. If it continues, it finds that it must stop."""
        self.abandoned = True
        _running.pop(self, None)

    def beat(self, wait: float = 0.0) -> None:
        """Report a sign of life; see `beat`. Called on the worker's own thread."""
        self._wait = wait
        self._at = time.monotonic()
        hit(self.kind)

    def silence(self, now: float) -> float:
        """Seconds since the last beat, without the announced wait."""
        return max(0.0, now - self._at - self._wait)

    def where(self) -> str:
        """Where it is in the code of retrainer, as `module:line function`; empty if nowhere."""
        return stacks.where(self._thread)

    def party(self) -> str:
        """The system that it waits for now; empty if it is in its own work."""
        return stacks.party(self._thread)

    def _main(self) -> None:
        _local.worker = self
        pause = FIRST_PAUSE
        try:
            while True:
                began = time.monotonic()
                error = self._live()
                if self._stopping() or self.abandoned:
                    return
                if self.duty.died != "restart":
                    self._give_up(error)
                    return
                self.restarts += 1
                log.error("thread.restarted", thread=self.name, does=self.duty.does, error=error)
                pause = FIRST_PAUSE if time.monotonic() - began > LIVED else pause
                if not self._pause(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            _running.pop(self, None)

    def _live(self) -> str:
        """Run the target until it ends; return the reason."""
        try:
            self.beat()
            self._target()
        except BaseException as error:
            if self._stopping():
                log.warning("thread.failed_at_end", thread=self.name, error=words(error))
            else:
                log.exception("thread.died", thread=self.name, does=self.duty.does, error=words(error))
            return words(error)
        return "it returned without being asked to"

    def _give_up(self, error: str) -> None:
        self.failed = error
        if self.duty.died == "end":
            fail(f"the thread `{self.name}`, which {self.duty.does}, died and is not safe to restart: {error}")

    def _pause(self, seconds: float) -> bool:
        """Wait. Return false if it was asked to stop meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stopping() or self.abandoned:
                return False
            self._wait, self._at = left, time.monotonic()
            time.sleep(min(left, 0.1))
        return True


def join_all(workers: Iterable[Worker], seconds: float) -> None:
    """Wait until all have ended, for at most `seconds` in total; see `Worker.join`."""
    until = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))


def within(seconds: float, name: str, call: Callable[[], object]) -> bool:
    """Call it on its own thread. Return whether it ended within `seconds`; otherwise the thread is abandoned.

    An error that it raises is logged.
    """
    thread = threading.Thread(target=_logged, args=(name, call), name=name, daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if thread.is_alive():
        _leave(thread, hangs=not stacks.party(thread))
    return not thread.is_alive()


def _logged(name: str, call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:
        log.exception("stop.failed", step=name)


def left_behind() -> list[LeftBehind]:
    """All threads that did not stop in time, in order."""
    return list(_left)


def _leave(thread: threading.Thread, *, hangs: bool) -> None:
    left = LeftBehind(thread.name, stacks.where(thread) or "an unknown place", hangs)
    log.warning("thread.left_behind", thread=left.name, at=left.at, waits_for_a_server=not hangs)
    _left.append(left)


def take(waiting: Queue[T] | SimpleQueue[T]) -> T:
    """Return the next item of a queue, however long that takes; the calling worker beats meanwhile."""
    while True:
        beat(TURN)
        try:
            return waiting.get(timeout=TURN)
        except Empty:
            continue


def clamp(seconds: float | None) -> float:
    """Return the seconds of one wait, at most `TURN`, if the next event is due in `seconds`; None for never."""
    return min(TURN, math.inf if seconds is None else seconds)
