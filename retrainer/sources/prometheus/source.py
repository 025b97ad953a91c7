"""A thread that polls Prometheus for the queries that rules need."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import structlog

from retrainer.sources.base import Batch, Overloaded, Query, Receipt, SourceContext
from retrainer.sources.polling import PollingSource
from retrainer.sources.prometheus.poll import Poll
from retrainer.util.counts import many
from retrainer.util.supervision import beat, rest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from concurrent.futures import Future

    from retrainer.config.models import PrometheusSource as PrometheusConfig

LATEST_START = 30.0
"""Maximum seconds until the first poll of a source."""
MOST_WARNINGS = 1000
Trouble = tuple[str, str]
"""An expression, empty if it concerns all, and the reason."""
log = structlog.get_logger()


class PrometheusSource(PollingSource):
    """``polls`` counts started polls. A failed expression counts as an error. A response after `stop` is dropped.

    Events are not awaited one by one. But while one of them is not stored, the next poll is skipped: responses do not
    pile up, and there will be newer ones.
    """

    _LOG_EVENT = "prometheus.trouble"

    def __init__(self, context: SourceContext, config: PrometheusConfig) -> None:
        super().__init__(context)
        self._config, self._base_folder = config, context.base_folder
        self._due_at = 0.0
        self._pending: list[Future[Receipt]] = []
        self._slow: set[str] = set()
        self._queried: dict[str, int] = {}
        """The last poll that queried each expression."""
        self._warned: set[tuple[str, str]] = set()
        self._reasons: set[str] = set()

    def _run(self) -> None:
        rest(self._stop, phase(self.name, min(self._config.polling_interval, LATEST_START)))
        super()._run()

    def _pause(self) -> float:
        return max(0.0, self._due_at - self._clock.monotonic())

    def _turn(self) -> None:
        self._due_at = self._clock.monotonic() + self._config.polling_interval
        try:
            errors = self._query_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next poll may succeed
            errors = [("", f"{type(error).__name__}: {error}")]
        self._show_errors(errors)

    def _query_all(self) -> list[Trouble]:
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
        return [("", f"{many(len(failed), 'answer')} could not be stored: {failed[0]}")] if failed else []

    def _due_queries(self, queries: Collection[Query]) -> list[Query]:
        """Order queries: those that were slow last time come last; among equals, the least recently queried first."""
        exprs = {query.expr for query in queries}
        self._queried = {expr: poll for expr, poll in self._queried.items() if expr in exprs}
        return sorted(
            queries, key=lambda q: (q.expr in self._slow, self._queried.get(q.expr, 0), q.expr, q.sample_time or "")
        )

    def _remember(self, poll: Poll) -> None:
        self._slow = (self._slow - poll.asked) | poll.slow
        self._queried |= dict.fromkeys(poll.asked, self.polls)
        for expr, text in poll.warnings:
            if (expr, text) not in self._warned and len(self._warned) < MOST_WARNINGS:
                self._warned.add((expr, text))
                log.warning("prometheus.warned", source=self.name, expr=expr, warning=text)

    def _show_errors(self, errors: Sequence[Trouble]) -> None:
        """Log when there is a new reason, but not when expressions alternate."""
        texts = [f"{expr:.80}: {reason}" if expr else reason for expr, reason in sorted(errors)]
        more = f" (and {len(texts) - 3} more)" if len(texts) > 3 else ""
        self._trouble = "; ".join(texts[:3]) + more or None
        self.poll_errors += len(errors)
        reasons = {reason for _, reason in errors}
        if reasons - self._reasons:
            log.warning(self._LOG_EVENT, source=self.name, error=self._trouble)
        self._reasons = reasons


def phase(name: str, interval: float) -> float:
    """Return the seconds before the first poll of a source: its share of ``interval``, the same at each start."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32 * interval
