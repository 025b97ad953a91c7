"""PURE: spans, and contexts of traces (W3C Trace Context, https://www.w3.org/TR/trace-context/).

The ids of a run's spans are digests of its id. So they are the same before and after a restart and on every replica,
and nothing about traces is stored.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRACEPARENT = "traceparent"
"""Header, and attribute of a CloudEvent (the distributed tracing extension)."""
SpanOfRun = Literal["run", "decision", "submission", "workflow"]
_FORMAT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    trace: int
    span: int
    sampled: bool

    @property
    def header(self) -> str:
        return f"00-{self.trace:032x}-{self.span:016x}-{int(self.sampled):02x}"


@dataclass(frozen=True, slots=True)
class FinishedSpan:
    """Times are epoch seconds. ``trace`` and ``span`` are its ids; None means random ones, or that of its parent."""

    name: str
    start: float
    end: float
    trace: int | None = None
    span: int | None = None
    parent: TraceContext | None = None
    links: Sequence[TraceContext] = ()
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    consumes: bool = False
    """Whether it is about a message of another system."""
    error: str | None = None
    """Why it failed; None if it did not."""


def parse(text: object) -> TraceContext | None:
    """Return the context of a `traceparent`; None if it is none that section 3.2 of the standard accepts."""
    found = _FORMAT.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    return TraceContext(trace, span, bool(int(found[4], 16) & _SAMPLED)) if trace and span else None


def of_event(attributes: Mapping[str, object], record: Mapping[str, object]) -> TraceContext | None:
    """Return the context of an event: that of its attribute, else that of the header of its Kafka record."""
    headers = record.get("headers")
    return parse(attributes.get(TRACEPARENT)) or parse(headers.get(TRACEPARENT) if isinstance(headers, dict) else None)


def trace_of(run: str) -> int:
    """Return the id of the trace of a run, by the id of the run."""
    return int.from_bytes(_digest("trace", run)[:16], "big") or 1


def span_of(run: str, name: SpanOfRun) -> int:
    return int.from_bytes(_digest(name, run)[:8], "big") or 1


def _digest(name: str, run: str) -> bytes:
    return hashlib.sha256(f"retrainer {name} {run}".encode()).digest()


def attributes_of(**values: Any) -> dict[str, str | int | float | bool]:
    """Return attributes with the prefix `retrainer.`, without those that are None or empty."""
    return {f"retrainer.{name}": value for name, value in values.items() if value not in (None, "")}
