"""A thread that polls Prometheus for the queries that rules need."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.sources.base import Batch, Overloaded
from retrainer.sources.prometheus.poll import Poll
from retrainer.util.supervision import Worker, beat, rest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from retrainer.config.models import PrometheusSource as PrometheusConfig
    from retrainer.sources.base import Intake, Query, Receipt
    from retrainer.util.clock import Clock

LATEST_START = 30.0
"""Maximum seconds until the first poll of a source."""
GRACE = 2.0
"""Seconds that `stop` waits for a response; a later one is dropped."""
MOST_WARNINGS = 1000
Trouble = tuple[str, str]
"""An expression, empty if it concerns all, and the reason."""
log = structlog.get_logger()


class PrometheusSource:
    """``polls`` counts started polls; the other attributes: see `Source`. A failed expression counts as an error.

    Events are not awaited one by one. But while one of them is not stored, the next poll is skipped: responses do not
    pile up, and there will be newer ones.
    """

    def __init__(self, name: str, config: PrometheusConfig, intake: Intake, clock: Clock, base_folder: Path) -> None:
        self.name = name
        self.polls = 0
        self.last_error: str | None = None
        self.poll_errors = 0
        self.lag: int | None = None
        self.halted: Mapping[str, str] = {}
        self._config, self._intake, self._clock, self._base_folder = config, intake, clock, base_folder
        self._pending: list[Future[Receipt]] = []
        self._slow: set[str] = set()
        self._asked: dict[str, int] = {}
        self._warned: set[tuple[str, str]] = set()
        self._reasons: set[str] = set()
        self._stop = threading.Event()
        self._thread = Worker("source", self._run, self._stop.is_set, name=f"source-{name}", owner=name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(GRACE)

    def _run(self) -> None:
        interval = self._config.polling_interval
        rest(self._stop, phase(self.name, min(interval, LATEST_START)))
        while not self._stop.is_set():
            due = self._clock.monotonic() + interval
            try:
                errors = self._poll()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next poll may succeed
                errors = [("", f"{type(error).__name__}: {error}")]
            self._tell(errors)
            rest(self._stop, max(0.0, due - self._clock.monotonic()))

    def _poll(self) -> list[Trouble]:
        """Query everything once. Return the errors."""
        self.polls += 1
        errors = self._settle()
        if self._pending:
            return [*errors, ("", "the engine has not stored the last answers yet: a poll was skipped")]
        try:
            queries = self._due_queries(self._intake.queries(self.name))
        except Overloaded as error:
            return [*errors, ("", f"{error}: a poll was skipped")]
        if not queries:
            return errors
        allowed = max(self._config.polling_interval, self._config.timeout)
        with Poll(self.name, self._config, self._base_folder, self._clock, allowed) as poll:
            try:
                self._ask(poll, queries)
            except Overloaded as error:
                errors.append(("", f"{error}: the rest of a poll was skipped"))
        self._remember(poll)
        return errors + poll.errors

    def _ask(self, poll: Poll, queries: Sequence[Query]) -> None:
        """Offer each response as soon as it arrives. Raise Overloaded."""
        for query in queries:
            beat()
            event = poll.event(query)
            if self._stop.is_set():
                return
            self._pending.append(self._intake.offer(Batch(self.name, [event], identity_window=0)))

    def _settle(self) -> list[Trouble]:
        """Remove settled responses. Return why some could not be stored."""
        done = [future for future in self._pending if future.done()]
        self._pending = [future for future in self._pending if not future.done()]
        failed = [error for future in done if (error := future.exception()) is not None]
        return [("", f"{len(failed)} answers could not be stored: {failed[0]}")] if failed else []

    def _due_queries(self, queries: Collection[Query]) -> list[Query]:
        """Order queries: those that were slow last time come last; among equals, the least recently queried first."""
        exprs = {query.expr for query in queries}
        self._asked = {expr: poll for expr, poll in self._asked.items() if expr in exprs}
        return sorted(
            queries, key=lambda q: (q.expr in self._slow, self._asked.get(q.expr, 0), q.expr, q.sample_time or "")
        )

    def _remember(self, poll: Poll) -> None:
        self._slow = (self._slow - poll.asked) | poll.slow
        self._asked |= dict.fromkeys(poll.asked, self.polls)
        for expr, text in poll.warnings:
            if (expr, text) not in self._warned and len(self._warned) < MOST_WARNINGS:
                self._warned.add((expr, text))
                log.warning("prometheus.warned", source=self.name, expr=expr, warning=text)

    def _tell(self, errors: Sequence[Trouble]) -> None:
        """Log when there is a new reason, but not when expressions alternate."""
        said = [f"{expr:.80}: {reason}" if expr else reason for expr, reason in sorted(errors)]
        more = f" (and {len(said) - 3} more)" if len(said) > 3 else ""
        self.last_error = "; ".join(said[:3]) + more or None
        self.poll_errors += len(errors)
        reasons = {reason for _, reason in errors}
        if reasons - self._reasons:
            log.warning("prometheus.trouble", source=self.name, error=self.last_error)
        self._reasons = reasons


def phase(name: str, interval: float) -> float:
    """Return the seconds before the first poll of a source: its share of ``interval``, the same at each start."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32 * interval


def prometheus_source(
    name: str, config: PrometheusConfig, intake: Intake, clock: Clock, base_folder: Path
) -> PrometheusSource:
    """Create the source, not started."""
    return PrometheusSource(name, config, intake, clock, base_folder)
