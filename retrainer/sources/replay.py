"""Replays: events that a source still has are read again for rules that did not count them: docs/how-to/replay.md.

One job at a time per source, in its own thread. Jobs are not stored: one that is requested again after a restart starts
from the beginning, and what was counted already is a duplicate.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from concurrent.futures import wait
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import structlog

from retrainer.config.models import DURATION_PATTERN, parse_duration
from retrainer.sources.base import Batch, Intake, Overloaded, ReplayScope
from retrainer.util.supervision import LONGEST_WAIT, Worker, beat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from retrainer.event import Event, Poison
    from retrainer.util.clock import Clock

CHUNK = 500
"""Items per transaction: live events wait for at most one such transaction."""
OUTCOMES = ("matched", "duplicate", "filtered", "ignored", "unknown", "dead_lettered")
NOT_AGAIN = {
    "webhook": "HTTP requests are not kept; have the sender send them again",
    "alertmanager": "HTTP requests are not kept; alerts that still fire are sent again",
    "prometheus": "it is polled for current values only",
    "directory": "it reports each file once; write the files again that are to be counted again",
}
"""Why sources of a type cannot be read again, with the remedy."""
log = structlog.get_logger()


class Busy(ValueError):
    """The same operation is in progress already."""


@runtime_checkable
class Rereadable(Protocol):
    """A source whose events can be read again."""

    def reread(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        """Yield what was received from `since` to before `until` (epoch seconds), as it was received the first time.

        End early once `stop` is set. Raise an error with a message if it cannot be read.
        """


def moment_of(text: str, now: float) -> float:
    """Parse RFC 3339 with a zone, or a duration before `now`. Return epoch seconds. Raise ValueError."""
    if re.match(DURATION_PATTERN, text):
        return now - parse_duration(text)
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is not None:
            return moment.timestamp()
    except ValueError:
        pass
    raise ValueError(
        f"{text!r} is not a time: write it as 2026-11-24T08:00:00Z (RFC 3339, with a zone), or as a duration before "
        "now, such as 7d or 90m"
    )


class Job:
    """One replay. ``progress`` may be called from any thread."""

    def __init__(
        self, source: str, scope: ReplayScope, since: float, until: float, intake: Intake, clock: Clock
    ) -> None:
        self.source = source
        self.state = "running"
        self._scope = scope
        self._since, self._until = since, until
        self._intake, self._clock = intake, clock
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._reached: float | None = None
        self._started_at = clock.now()
        self._ended_at: float | None = None
        self._error = ""
        self._thread: Worker | None = None

    def start(self, source: Rereadable) -> None:
        self._thread = Worker(
            "replay", lambda: self._run(source), self._has_ended, name=f"replay-{self.source}", owner=self.source
        )
        self._thread.start()

    def cancel(self) -> None:
        """Request its end. What was stored stays."""
        self._stop.set()

    def join(self, within: float | None = None) -> None:
        """Return once it has ended, after ``within`` seconds at the latest."""
        if self._thread is not None:
            self._thread.join(within)

    def progress(self) -> dict[str, Any]:
        """Return its progress; times are in epoch seconds."""
        with self._lock:
            counts = dict(self._counts)
        return {
            "source": self.source,
            "state": self.state,
            "from": self._since,
            "to": self._until,
            "rules": sorted(self._scope.rules),
            "dry_run": self._scope.dry,
            "started_at": self._started_at,
            "ended_at": self._ended_at,
            "reached": self._reached,
            "read": sum(counts.values()),
            "outcomes": {word: counts.get(word, 0) for word in OUTCOMES},
            "error": self._error,
        }

    def _run(self, source: Rereadable) -> None:
        log.info("replay.started", source=self.source, rules=sorted(self._scope.rules), dry_run=self._scope.dry)
        state = "failed"
        try:
            for items in source.reread(self._since, self._until, self._stop):
                beat()
                for i in range(0, len(items), CHUNK):
                    self._take_in(items[i : i + CHUNK])
            state = "cancelled" if self._stop.is_set() else "done"
        except BaseException as error:  # noqa: BLE001 - each client library has its own errors
            self._error = str(error) or type(error).__name__
            log.error("replay.failed", source=self.source, error=self._error)  # noqa: TRY400 - for the reader
        self._end(state)

    def _end(self, state: str) -> None:
        self._ended_at = self._clock.now()
        self.state = state
        log.info("replay.ended", source=self.source, state=state, **self.progress()["outcomes"])

    def _has_ended(self) -> bool:
        return self._stop.is_set() or self.state != "running"

    def give_up(self, why: str) -> None:
        """Abandon a replay that hangs. What it stored stays."""
        self.cancel()
        self._error = why
        self._end("failed")

    def _take_in(self, items: Sequence[Event | Poison]) -> None:
        batch = Batch(self.source, items, replay_scope=self._scope)
        while not self._stop.is_set():
            try:
                future = self._intake.offer(batch)
            except Overloaded as error:  # live events go first
                self._stop.wait(error.retry_after)
                continue
            beat()
            wait((future,))
            outcomes = future.result().outcomes
            with self._lock:
                self._counts.update(outcomes)
                self._reached = max((item.time for item in items if hasattr(item, "time")), default=self._reached)
            return


class Replays:
    """The jobs of this process: the last one of each source."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake, self._clock = intake, clock
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, name: str, source: Rereadable, scope: ReplayScope, since: float, until: float) -> dict[str, Any]:
        """Start a replay. Raise Busy if one of this source is running."""
        with self._lock:
            before = self._jobs.get(name)
            if before is not None and before.state == "running":
                raise Busy(f"a replay of {name} is in progress: wait for its end, or cancel it")
            job = self._jobs[name] = Job(name, scope, since, until, self._intake, self._clock)
            job.start(source)
        return job.progress()

    def progress(self, source: str) -> dict[str, Any]:
        """Raise LookupError if there was none since the daemon started."""
        return self._job(source).progress()

    def cancel(self, source: str) -> dict[str, Any]:
        """Cancel a replay, and return its progress. Raise LookupError if there was none."""
        job = self._job(source)
        job.cancel()
        return job.progress()

    def give_up(self, source: str, why: str) -> None:
        """Abandon a replay that hangs: it counts as failed, and another one may start."""
        self._job(source).give_up(why)

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """End all replays; those that have not ended within ``within`` seconds are left behind."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        until = self._clock.monotonic() + within
        for job in jobs:
            job.join(max(0.0, until - self._clock.monotonic()))

    def _job(self, source: str) -> Job:
        with self._lock:
            if source not in self._jobs:
                raise LookupError(f"there was no replay of {source} since the daemon started")
            return self._jobs[source]
