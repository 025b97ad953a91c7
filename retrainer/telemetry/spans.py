"""Exports spans by OTLP over HTTP. What the settings leave open is read from the standard OTEL_* variables.

All calls are from one thread at a time. The SDK exports on a thread of its own, from a queue with a limit.
"""

from __future__ import annotations

import logging
import os
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from retrainer.util import supervision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from retrainer.config.settings import Tracing
    from retrainer.telemetry.trace_context import FinishedSpan, TraceContext

log = structlog.get_logger()
PATH = "/v1/traces"
STOP_WITHIN = 2.0
"""Seconds for the last export when the daemon stops."""


class Spans:
    def __init__(self, tracing: Tracing, instance: str, failed: Callable[[int], None]) -> None:
        """``failed`` is called with the number of spans of each export that failed."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # failed exports are logged here, once
        self._ids = _Ids()
        own = {"service.name": "retrainer", "service.version": version("retrainer"), "service.instance.id": instance}
        self._provider = TracerProvider(
            None if tracing.sample is None else ParentBased(TraceIdRatioBased(tracing.sample)),
            Resource.create(own).merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        endpoint = None if tracing.endpoint is None else tracing.endpoint.rstrip("/").removesuffix(PATH) + PATH
        self._provider.add_span_processor(BatchSpanProcessor(_Reporting(OTLPSpanExporter(endpoint), failed)))
        self._tracer = self._provider.get_tracer("retrainer", version("retrainer"))

    def sampled(self, trace: int) -> bool:
        """Return whether a trace that begins here is recorded: always the same for one id."""
        return self._provider.sampler.should_sample(None, trace, "run").decision is Decision.RECORD_AND_SAMPLE

    def emit(self, span: FinishedSpan) -> None:
        self._ids.trace, self._ids.span = span.trace, span.span
        parent = set_span_in_context(NonRecordingSpan(_standard(span.parent))) if span.parent is not None else None
        made = self._tracer.start_span(
            span.name,
            parent,
            SpanKind.CONSUMER if span.consumes else SpanKind.INTERNAL,
            dict(span.attributes),
            [Link(_standard(link)) for link in span.links],
            round(span.start * 1e9),
        )
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error))
        made.end(round(max(span.start, span.end) * 1e9))

    def stop(self) -> None:
        """Export what is left, within `STOP_WITHIN` seconds; then the rest is lost."""
        exporting = threading.Thread(target=self._provider.shutdown, name="trace-export", daemon=True)
        exporting.start()
        exporting.join(STOP_WITHIN * supervision.PATIENCE)
        if exporting.is_alive():
            log.warning("tracing.not_exported", waited=STOP_WITHIN)


def disabled() -> bool:
    """Return whether the environment turns tracing off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _standard(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(context.trace, context.span, is_remote=True, trace_flags=flags)


class _Ids(IdGenerator):
    """Gives the next span the ids that are set, and random ones where none is."""

    def __init__(self) -> None:
        self.trace: int | None = None
        self.span: int | None = None
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self.trace or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        return self.span or self._random.generate_span_id()


class _Reporting(SpanExporter):
    """Logs when exports begin to fail, and when they work again."""

    def __init__(self, exporter: SpanExporter, failed: Callable[[int], None]) -> None:
        self._exporter, self._failed = exporter, failed
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing:
            self._failed(len(spans))
        if failing != self._failing:
            (log.warning if failing else log.info)("tracing.export_fails" if failing else "tracing.export_works")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)
