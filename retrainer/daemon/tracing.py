"""Makes spans of what was committed and of what sources brought. Nothing here decides, blocks or stores.

The engine's thread and those of sources only append to a queue with a limit; a timer makes the spans.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine.core import notifications as n
from retrainer.engine.replication.intake_router import IntakeRouter
from retrainer.event import Event, split_attributes
from retrainer.runs.run import RunPhase
from retrainer.store import queries
from retrainer.store.base import StoreError
from retrainer.store.pages import PageRequest
from retrainer.telemetry.secrets import SECRETS
from retrainer.telemetry.trace_context import (
    TRACEPARENT,
    FinishedSpan,
    TraceContext,
    attributes_of,
    of_event,
    parse,
    span_of,
    trace_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from starlette.types import ASGIApp, Receive, Scope, Send

    from retrainer.config.settings import Settings
    from retrainer.engine.core.engine import Engine
    from retrainer.engine.replication.standby_intake import StandbyIntake
    from retrainer.runs.run import Run
    from retrainer.sources.base import Batch, Receipt
    from retrainer.store.base import Store
    from retrainer.telemetry.process_metrics import ProcessMetrics
    from retrainer.telemetry.spans import Spans
    from retrainer.telemetry.trace_context import SpanOfRun
    from retrainer.util.clock import Clock

log = structlog.get_logger()
MOST_WAITING = 10_000
"""Facts that wait to become spans. Beyond this they are dropped and counted."""
MOST_INPUTS = 1000
"""Inputs of a run, oldest first, whose contexts are looked up."""
MOST_LINKS = 128
"""Links of one span: the limit of the SDK."""
_PAGE = 100
_header: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The header of the request that is being processed."""


@dataclass(frozen=True, slots=True)
class _Received:
    event: Event
    context: TraceContext
    at: float
    stored_at: float
    outcome: str


@dataclass(frozen=True, slots=True)
class _Fed:
    """What a run has taken, as far as the store still has it."""

    first_at: float
    senders: Sequence[tuple[TraceContext, dict[str, Any]]]


def tracer_of(settings: Settings, store: Store, clock: Clock, metrics: ProcessMetrics) -> Tracer | None:
    """Return the tracer of the settings; None without one. Raise ValueError if its packages are not installed."""
    if settings.tracing is None:
        return None
    try:
        from retrainer.telemetry.spans import Spans, disabled  # noqa: PLC0415 - an extra, and six megabytes
    except ImportError as error:
        raise ValueError(
            f"tracing: the package {error.name} is missing: install retrainer with its extra `tracing`"
        ) from None
    return (
        None
        if disabled()
        else Tracer(Spans(settings.tracing, settings.name, metrics.spans_dropped), store, clock, metrics)
    )


class Tracer:
    """A listener of the engine, and of the intake. `drain` and `stop` are called from one thread at a time."""

    def __init__(self, spans: Spans, store: Store, clock: Clock, metrics: ProcessMetrics) -> None:
        self._spans, self._store, self._clock, self._metrics = spans, store, clock, metrics
        self._waiting: deque[_Received | tuple[n.Notification, float]] = deque()

    def emitted(self, notification: n.Notification, now: float) -> None:
        if type(notification) in (n.RunCreated, n.RunMoved, n.RunEnded):
            self._append((notification, now))

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        """Metrics have that."""

    def received(self, batch: Batch, future: Future[Receipt]) -> None:
        """Note the events of a batch that have a context, once they are stored."""
        contexts = {i: found for i, item in enumerate(batch.items) if (found := _context_of(item)) is not None}
        if not contexts:
            return
        began, items = self._clock.now(), batch.items

        def done(future: Future[Receipt]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            outcomes, ended = future.result().outcomes, self._clock.now()
            for i, context in contexts.items():
                item = items[i]
                if isinstance(item, Event):
                    self._append(_Received(item, context, began, ended, outcomes[i]))

        future.add_done_callback(done)

    def parent(self, run: Run) -> str:
        """Return the `traceparent` for the Workflow of a run. Its steps are children of the span of the Workflow."""
        return self._context(run, "workflow").header

    def drain(self) -> None:
        """Make spans of what has happened since the last call."""
        while self._waiting:
            for span in self._spans_of(self._waiting.popleft()):
                self._spans.emit(span)

    def stop(self) -> None:
        self.drain()
        self._spans.stop()

    def _append(self, fact: _Received | tuple[n.Notification, float]) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(fact)
        else:
            self._metrics.spans_dropped(1)

    def _spans_of(self, fact: _Received | tuple[n.Notification, float]) -> Iterator[FinishedSpan]:
        if isinstance(fact, _Received):
            yield _reception(fact)
            return
        notification, now = fact
        if isinstance(notification, n.RunCreated):
            yield from self._created(notification.run)
        elif isinstance(notification, n.RunMoved) and _submits(notification):
            yield self._submitted(notification.run, now)
        elif isinstance(notification, n.RunEnded):
            yield from self._ended(notification, now)

    def _created(self, run: Run) -> Iterator[FinishedSpan]:
        fed = self._fed(run)
        facts = attributes_of(
            trigger=run.trigger, reason=run.reason, detail=SECRETS.mask(str(run.cause.get("detail", "")))
        )
        yield self._part(run, "decision", fed.first_at, run.created_at, facts)
        root = self._context(run, "run")
        for context, event in fed.senders[:MOST_LINKS]:
            facts = attributes_of(event=event["id"], source=event["source"]) | _ids(run)
            yield FinishedSpan(
                f"counted for {run.rule}", event["at"], run.created_at, parent=context, links=[root], attributes=facts
            )

    def _submitted(self, run: Run, now: float) -> FinishedSpan:
        facts = attributes_of(workflow=run.workflow, namespace=run.namespace, attempts=run.submit_attempts)
        return self._part(run, "submission", run.created_at, now, facts)

    def _ended(self, end: n.RunEnded, now: float) -> Iterator[FinishedSpan]:
        run, ended = end.run, end.values.get("ended_at") or now
        error = None if end.phase in (RunPhase.SUCCEEDED, RunPhase.CANCELLED) else SECRETS.mask(end.message)
        started = end.values.get("started_at") or run.started_at or run.submitted_at
        facts = attributes_of(phase=end.phase.value, attempt=run.attempt)
        if started is not None:
            workflow = attributes_of(workflow=run.workflow, namespace=run.namespace)
            yield replace(self._part(run, "workflow", started, ended, facts | workflow), error=error)
        fed, context = self._fed(run), self._context(run, "run")
        links = [sender for sender, _ in fed.senders] + [self._root_of(other) for other in _runs_before(run)]
        yield FinishedSpan(
            *(f"retrain {run.rule}", fed.first_at, ended, context.trace, context.span),
            links=links[:MOST_LINKS],
            attributes=facts | _ids(run),
            error=error,
        )

    def _part(self, run: Run, name: SpanOfRun, start: float, end: float, facts: dict[str, Any]) -> FinishedSpan:
        root, own = self._context(run, "run"), self._context(run, name)
        return FinishedSpan(name, start, end, None, own.span, root, attributes=facts | _ids(run))

    def _context(self, run: Run, name: SpanOfRun) -> TraceContext:
        trace = trace_of(run.id)
        return TraceContext(trace, span_of(run.id, name), self._spans.sampled(trace))

    def _root_of(self, run: str) -> TraceContext:
        trace = trace_of(run)
        return TraceContext(trace, span_of(run, "run"), self._spans.sampled(trace))

    def _fed(self, run: Run) -> _Fed:
        try:
            events = list(self._inputs(run.id))
        except (StoreError, LookupError):  # the store does not answer, or the run is pruned
            events = []
        contexts = ((of_event(*split_attributes(event["attributes"])), event) for event in events)
        senders = [(context, event) for context, event in contexts if context is not None]
        return _Fed(min([run.created_at, *(event["at"] for event in events)]), senders)

    def _inputs(self, run: str) -> Iterator[dict[str, Any]]:
        page, read = PageRequest(limit=_PAGE), 0
        while read < MOST_INPUTS:
            found = self._store.read(partial(queries.run_inputs, run=run, page=page))
            yield from found.items
            if found.next is None:
                return
            page, read = replace(page, cursor=found.next), read + len(found.items)


class TracedRouter(IntakeRouter):
    """Also reports batches to the tracer. Events without a context get that of the request that brought them."""

    def __init__(self, tracer: Tracer, engine: Engine, standby_intake: StandbyIntake, store: Store) -> None:
        super().__init__(engine, standby_intake, store)
        self.tracer = tracer

    def offer(self, batch: Batch) -> Future[Receipt]:
        if (header := _header.get()) is not None:
            batch = replace(batch, items=[_with_context(item, header) for item in batch.items])
        future = super().offer(batch)
        self.tracer.received(batch, future)
        return future


class Listeners:
    """Passes on what the engine reports."""

    def __init__(self, *listeners: n.EngineListener) -> None:
        self._listeners = listeners

    def emitted(self, notification: n.Notification, now: float) -> None:
        for listener in self._listeners:
            listener.emitted(notification, now)

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        for listener in self._listeners:
            listener.committed(seconds, waited, queued)


def with_header(app: ASGIApp) -> ASGIApp:
    """Remember the `traceparent` of each request while it is processed."""

    async def traced(scope: Scope, receive: Receive, send: Send) -> None:
        found = [value for name, value in scope.get("headers", ()) if name == TRACEPARENT.encode()]
        text = found[0].decode("latin-1") if len(found) == 1 else None
        token = _header.set(text if parse(text) is not None else None)
        try:
            await app(scope, receive, send)
        finally:
            _header.reset(token)

    return traced


def _with_context(item: Any, header: str) -> Any:
    if not isinstance(item, Event) or TRACEPARENT in item.attributes:
        return item
    return replace(item, attributes={**item.attributes, TRACEPARENT: header})


def _context_of(item: object) -> TraceContext | None:
    return of_event(item.attributes, item.record) if isinstance(item, Event) else None


def _reception(fact: _Received) -> FinishedSpan:
    event = fact.event
    facts = attributes_of(source=event.source, event=event.id, outcome=fact.outcome)
    return FinishedSpan(
        f"receive {event.source}",
        fact.at,
        fact.stored_at,
        parent=fact.context,
        attributes=facts | {"cloudevents.event_type": event.type},
        consumes=True,
    )


def _submits(moved: n.RunMoved) -> bool:
    return moved.phase is RunPhase.SUBMITTED and moved.run.submitted_at is None


def _ids(run: Run) -> dict[str, Any]:
    return attributes_of(rule=run.rule, key=run.key, run=run.id)


def _runs_before(run: Run) -> list[str]:
    """Return the runs that led to this one: the attempt before it, and the run of another rule that it follows."""
    return [before for before in (run.retry_of, run.cause.get("upstream")) if before]
