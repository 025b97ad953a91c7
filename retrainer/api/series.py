"""The values that a rule's metric and alert triggers were compared with, over time.

They are read from the ledger, which stores each pushed value and each result of a query. Reads go back from the end in
short pieces. What one call may read is bounded; the answer says how far it got.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.rules.readings import samples_of
from retrainer.sources.base import Query
from retrainer.sources.prometheus.poll import digest_of
from retrainer.store import history, search
from retrainer.util.thinning import Thinned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Sample
    from retrainer.rules.triggers.threshold import CompiledThreshold
    from retrainer.store.base import Store
    from retrainer.store.history import Piece

MOST_PIECES = 5
"""Pieces that one call reads for a trigger: 20,000 events of the ledger, or 2,500 results of a query."""
MOST_SAMPLES = 20_000
"""Values that one call reads for a trigger."""
MOST_LINES = 5
"""Series of a trigger that are shown: those whose values came furthest towards the threshold, or beyond it."""
MOST_FOLLOWED = 200


@dataclass(frozen=True, slots=True)
class Span:
    """A rule's key from ``since`` to ``until`` (epoch seconds)."""

    rule: CompiledRule
    key: str
    since: float
    until: float


def metric(store: Store, span: Span, gauge: CompiledThreshold) -> dict[str, Any]:
    """Return the values of a trigger's series. They are complete from ``read_since`` on."""
    lines = _Lines(span)
    read_since = span.since
    for piece in _pieces(store, span, gauge):
        for at, samples in _sampled(piece, span, gauge):
            lines.add(at, samples, whole=gauge.expr is not None)
        read_since = max(piece.reached, span.since) if piece.following is not None else span.since
        if lines.samples >= MOST_SAMPLES:
            break
    shown = lines.nearest(high=gauge.threshold.high)
    return {
        **compared(gauge),
        "lines": [{"series": name, "samples": line.count, "points": points(line)} for name, line in shown],
        "more": len(lines.by_name) - len(shown) + len(lines.left_out),
        "read_since": read_since,
    }


def compared(gauge: CompiledThreshold) -> dict[str, Any]:
    """Return what the values of a trigger are compared with."""
    limit = gauge.threshold
    side = "above" if limit.high else "below"
    return {"trigger": gauge.name, "side": side, "limit": limit.bound, "clear": limit.clear, "alerts": limit.alerts}


def points(line: Thinned) -> list[dict[str, Any]]:
    return [{"at": at, "value": value} for at, value in line.points()]


def latest(store: Store, span: Span, gauge: CompiledThreshold) -> tuple[dict[str, tuple[float, float | None]], float]:
    """Return the last value of each series, with its time; of a query, those of its last result.

    And the time back to which they were searched.
    """
    found: dict[str, tuple[float, float | None]] = {}
    reached = span.since
    for piece in _pieces(store, span, gauge):
        reached = max(piece.reached, span.since) if piece.following is not None else span.since
        for at, samples in _sampled(piece, span, gauge):
            for sample in samples:
                found.setdefault(sample.series, (at, sample.value))
            if gauge.expr is not None or len(found) >= MOST_FOLLOWED:
                return found, reached
    return found, reached


class _Lines:
    """The lines of a trigger's series, by name; ``left_out`` are the names of those that were too many."""

    def __init__(self, span: Span) -> None:
        self.by_name: dict[str, Thinned] = {}
        self.left_out: set[str] = set()
        self.samples = 0
        self._span = span
        self._following: float | None = None

    def add(self, at: float, samples: list[Sample], *, whole: bool) -> None:
        """Add values. ``whole``: they are complete, so a series that is missing has no value."""
        self.samples += max(len(samples), 1)
        for sample in samples:
            line = self.by_name.get(sample.series)
            if line is None and len(self.by_name) >= MOST_FOLLOWED:
                self.left_out.add(sample.series)
                continue
            if line is None:
                line = self.by_name[sample.series] = Thinned(self._span.since, self._span.until, backwards=True)
                if self._following is not None:  # the result after this one did not have it
                    line.add(self._following, None)
            line.add(at, sample.value)
        if whole:
            for name in self.by_name.keys() - {sample.series for sample in samples}:
                self.by_name[name].add(at, None)
            self._following = at

    def nearest(self, *, high: bool) -> list[tuple[str, Thinned]]:
        lines = sorted(self.by_name.items(), key=lambda line: line[0])
        return sorted(lines, key=lambda line: _furthest(line[1], high=high), reverse=True)[:MOST_LINES]


def _furthest(line: Thinned, *, high: bool) -> float:
    values = [value if high else -value for _, value in line.points() if value is not None]
    return max(values, default=float("-inf"))


def _sampled(piece: Piece, span: Span, gauge: CompiledThreshold) -> Iterator[tuple[float, list[Sample]]]:
    """Yield when values arrived and the values, the latest first. A result of a query may have none."""
    for _, at, event in piece.arrivals:
        samples = samples_of(gauge, span.key, event)
        if span.since <= at <= span.until and (samples or gauge.expr is not None):
            yield at, samples


def _pieces(store: Store, span: Span, gauge: CompiledThreshold) -> Iterator[Piece]:
    following: Any
    if gauge.expr is not None:
        digest = digest_of(Query(gauge.expr, gauge.sample_time))
        following = f"{digest}:{round(span.until * 1000) + 1:013d}"
        first: Any = span.since
        read = partial(history.polled, source=gauge.source, rule=gauge.rule, digest=digest)
        end = "end"
    else:
        following = store.read(partial(search.number_at, moment=span.until + 0.001))
        first = store.read(partial(search.number_at, moment=span.since))
        read = partial(history.pushed, source=gauge.source, rule=gauge.rule)
        end = "below"
    for _ in range(MOST_PIECES):
        piece = store.read(partial(read, first=first, **{end: following}))
        yield piece
        following = piece.following
        if following is None:
            return
