"""Metrics of the way from an event to its Workflow: queue, transactions, store, submission."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.telemetry.exposition import Exposition

PATH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SUBMIT_CODES = ("timeout", "connect", "quota", "denied", "invalid", "403", "409", "429", "500", "503")
MOST_CODES = 50


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine and its store at a scrape."""

    leader: bool = True
    """Whether this process is the leader."""
    queued: int = 0
    """Events that wait for the engine."""
    watch_restarts: int = 0
    """Restarts of watches since the process started."""
    store_writable: bool = True
    store_free_bytes: int | None = None
    """Free bytes on the volume of the store, if it is on a local volume."""
    store_bytes: int = 0
    dead_letters: int = 0
    backed_up_at: float | None = None
    """Time of the last reported backup; without one, when the store was new. None if neither is known."""
    max_backup_age: float | None = None
    """Seconds; None if no backups are expected."""


class EngineMetrics:
    """Counted when something happens: transactions and submissions. Computed at a scrape: what `EngineStatus` has."""

    def __init__(self, exposition: Exposition) -> None:
        gauge, counter, histogram = exposition.gauge, exposition.counter, exposition.histogram
        self._queue_wait = histogram("queue_wait_seconds", "How long events waited for the engine.", PATH_BUCKETS)
        self._commit = histogram(
            "engine_transaction_duration_seconds", "Duration of the engine's transactions.", COMMIT_BUCKETS
        )
        self._schedule_lag = histogram("schedule_lag_seconds", "Time from a slot to its run's creation.", PATH_BUCKETS)
        self.inputs_left_out = counter(
            "inputs_left_out", "Inputs that could not be processed, even for a quarantined key.", "input"
        )
        self.dead_letters_dropped = counter("dead_letters_dropped", "Dead letters dropped because of the limits.")
        self._declare_submission(exposition)
        self._clock_offset = gauge("clock_offset_seconds", "Lead of the machine's clock over the daemon's.")
        self._clock_steps = counter("clock_steps", "Steps of the machine's clock, and suspensions.")
        self._leader = gauge("leader", "Whether this process is the leader.")
        self._queue = gauge("engine_queue_length", "Events that wait for the engine.")
        self._store_size = gauge("store_size_bytes", "Size of the store in bytes.")
        self._store_free = gauge("store_free_bytes", "Free space on the store's volume; NaN if unknown.")
        self._store_writable = gauge("store_writable", "Whether the last write to the store succeeded.")
        self._dead_letters = gauge("dead_letters", "Stored dead letters.")
        self._backed_up_at = gauge(
            "store_backup_timestamp_seconds", "Time of the last reported backup, or of the first state; NaN if unknown."
        )
        self._max_backup_age = gauge("store_max_backup_age_seconds", "`store.max_backup_age`; NaN if it is not set.")

    def _declare_submission(self, exposition: Exposition) -> None:
        self._submit_lag = exposition.histogram(
            "run_submit_latency_seconds", "Time from a run's creation to its Workflow's creation.", PATH_BUCKETS
        )
        self._attempts = exposition.counter("submit_attempts", "Requests to create a Workflow.")
        self._errors = exposition.counter(
            "submit_errors", "Requests to create a Workflow that failed, by code.", "code"
        )
        self._codes = set(SUBMIT_CODES)
        for code in SUBMIT_CODES:
            self._errors.labels(code)
        self._restarts = exposition.counter("watch_restarts", "Restarts of Workflow watches because of an error.")
        self._restarts_before = 0

    def collect(self, seen: EngineStatus) -> None:
        self._leader.set(seen.leader)
        self._queue.set(seen.queued)
        self._store_size.set(seen.store_bytes)
        self._store_free.set(_known(seen.store_free_bytes))
        self._store_writable.set(seen.store_writable)
        self._dead_letters.set(seen.dead_letters)
        self._backed_up_at.set(_known(seen.backed_up_at))
        self._max_backup_age.set(_known(seen.max_backup_age))
        self._restarts.inc(max(0, seen.watch_restarts - self._restarts_before))
        self._restarts_before = max(seen.watch_restarts, self._restarts_before)

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        """A transaction took `seconds`; its events had `waited` so long, and `queued` events still wait."""
        self._commit.observe(seconds)
        for wait in waited:
            self._queue_wait.observe(wait)
        self._queue.set(queued)

    def clock(self, ahead: float, stepped: bool) -> None:
        """``ahead``: seconds by which the machine's clock is ahead."""
        self._clock_offset.set(ahead)
        self._clock_steps.inc(stepped)

    def schedule_lag(self, seconds: float) -> None:
        self._schedule_lag.observe(max(seconds, 0.0))

    def submitted_after(self, seconds: float) -> None:
        self._submit_lag.observe(max(seconds, 0.0))

    def submit_attempt(self, code: str) -> None:
        """Count a request to create a Workflow by its result: ``ok``, an HTTP status or a short word."""
        self._attempts.inc()
        if code == "ok":
            return
        if code not in self._codes and len(self._codes) >= MOST_CODES:
            code = "other"
        self._codes.add(code)
        self._errors.labels(code).inc()


def _known(value: float | None) -> float:
    return math.nan if value is None else value
