"""A metric or alert trigger is satisfied while enough of its series have crossed the threshold for long enough.

Hysteresis: a series that crossed comes back only at `clear`. A run that the trigger helped to start makes it `quiet`;
it is satisfied again once it has cleared and crossed anew, or `repeat_interval` after that run's end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from retrainer.rules.outcome import Reason, Sample
from retrainer.rules.threshold_state import Series, ThresholdState
from retrainer.rules.triggers.kind import Verdict
from retrainer.util.counts import many, part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


MAX_SERIES = 1000
"""Maximum number of series per trigger and key; further ones are ignored, and `trouble` says so."""
MAX_ROW = 1000
"""Consecutive values are counted up to this."""
SKEW = 300.0
"""Seconds by which the clock of a sample may be ahead of ours."""
NOTHING = ""
"""Name of the one crossed series that stands for all, if no series was ever seen and `no_data: fire` is set."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The threshold of a trigger. Times are in seconds; ``jitter`` is the share of this rule and key."""

    bound: float
    clear: float
    high: bool
    """Whether values above the bound cross it, or values below."""
    hold: float = 0.0
    row: int = 1
    series: int = 1
    percent: float | None = None
    of: int | None = None
    no_data: Literal["hold", "ok", "fire"] = "hold"
    max_age: float | None = None
    repeat: float = 86400.0
    jitter: float = 0.0
    alerts: bool = False
    """Whether series are alerts: 1 firing, 0 resolved."""

    def spread(self, jitter: float) -> Threshold:
        """The threshold with another jitter."""
        return _spread(self, jitter) if jitter else self

    def crossed(self, value: float) -> bool:
        return value > self.bound if self.high else value < self.bound

    def cleared(self, value: float) -> bool:
        return value <= self.clear if self.high else value >= self.clear

    def needed(self, known: int) -> int:
        """How many series must cross, of ``known`` series."""
        if self.percent is None:
            return self.series
        return max(1, math.ceil(round((self.of or known) * self.percent / 100, 9)))


@lru_cache(maxsize=10_000)
def _spread(threshold: Threshold, jitter: float) -> Threshold:
    """Cached, as each evaluation needs it, for each rule and key."""
    return replace(threshold, jitter=jitter)


def sampled(
    threshold: Threshold,
    gauge: ThresholdState,
    samples: Sequence[Sample],
    now: float,
    *,
    whole: bool,
    trouble: str = "",
) -> ThresholdState:
    """Fold samples in. ``whole``: they are complete, so a known series that is missing has no data."""
    gauge = advance(threshold, gauge, now)
    given = {sample.series for sample in samples}
    series = _missed(threshold, gauge.series, given, now, forget=not trouble) if whole else dict(gauge.series)
    seen_at = now if gauge.seen_at is None and samples else gauge.seen_at
    left_out = 0
    for sample in samples:
        known = series.get(sample.series)
        if known is None and len(series) >= MAX_SERIES and (whole or not _room(series, given)):
            left_out += 1
        elif known is None or sample.at >= known.at:
            series[sample.series] = _follow(threshold, known, sample, now)
    if left_out:
        trouble = f"{left_out} series ignored: at most {MAX_SERIES} are tracked"
    return advance(threshold, replace(gauge, series=series, seen_at=seen_at, trouble=trouble), now)


def late(
    threshold: Threshold, known: Series | None, sample: Sample, now: float, *, alert: bool
) -> Literal["", "overtaken", "stale"]:
    """Why a delayed sample is too late to be folded in; empty if it is not.

    Of two samples with one time only the first counts. But the end of an alert has the time of its start.
    """
    if threshold.max_age is not None and now - sample.at > threshold.max_age:
        return "stale"
    if known is None or _taken_at(sample, now) > known.at:
        return ""
    ends = alert and sample.at == known.at and not sample.value and bool(known.value)
    return "" if ends else "overtaken"


def _missed(
    threshold: Threshold, known: Mapping[str, Series], given: Collection[str], now: float, *, forget: bool
) -> dict[str, Series]:
    """Series that a poll did not find have no data. With ``forget``, those that are idle are dropped.

    So label values that come and go do not accumulate. A source that did not answer at all removes no series.
    """
    if not known and not given and threshold.no_data == "fire":
        return {NOTHING: _no_data(threshold, Series(None, now, live=False), now)}
    series = {}
    for name, one in known.items():
        after = one if name in given else _no_data(threshold, one, now)
        if name in given or not (after.idle and forget):
            series[name] = after
    if given:
        series.pop(NOTHING, None)
    return series


def _room(series: dict[str, Series], given: Collection[str]) -> bool:
    """Drop the idle series with the oldest sample. Return false if there is none."""
    idle = min(((one.at, name) for name, one in series.items() if one.idle and name not in given), default=None)
    if idle is None:
        return False
    del series[idle[1]]
    return True


def _taken_at(sample: Sample, now: float) -> float:
    """The time of a sample. A time far in the future counts as now; otherwise no later sample would be newer."""
    return sample.at if sample.at <= now + SKEW else now


def _follow(threshold: Threshold, known: Series | None, sample: Sample, now: float) -> Series:
    at, value = _taken_at(sample, now), sample.value
    before = known or Series(None, at)
    stale = threshold.max_age is not None and now - at > threshold.max_age
    if value is None or not math.isfinite(value) or stale:
        return _no_data(threshold, replace(before, at=at), now)
    if threshold.crossed(value):
        since = before.since if before.since is not None else now
        again = before.live and before.at == at and before.value == value  # the same sample, repeated
        row = max(before.row, 1) if again else min(before.row + 1, MAX_ROW)
        return replace(before, value=value, at=at, live=True, since=since, row=row)
    raised = before.raised and not threshold.cleared(value)
    return Series(value, at, raised=raised)


def _no_data(threshold: Threshold, series: Series, now: float) -> Series:
    if threshold.no_data == "fire":
        since = series.since if series.since is not None else now
        return replace(series, live=False, since=since, row=max(series.row, threshold.row))
    if threshold.no_data == "ok":
        return Series(series.value, series.at, live=False)
    return replace(series, live=False)


def advance(threshold: Threshold, gauge: ThresholdState, now: float) -> ThresholdState:
    """Advance to ``now``: raise series that were crossed for long enough, mark too old ones as without data."""
    changed = {}
    for name, series in gauge.series.items():
        moved = _mature(threshold, gauge, series, now)
        if moved is not series:
            changed[name] = moved
    if changed:
        gauge = replace(gauge, series={**gauge.series, **changed})
    if not gauge.quiet:
        return gauge
    over = gauge.answered_at is not None and now >= gauge.answered_at + threshold.repeat
    if over or raised(gauge) < _needed(threshold, gauge):
        return replace(gauge, quiet=False, answered_at=None)
    return gauge


def _mature(threshold: Threshold, gauge: ThresholdState, series: Series, now: float) -> Series:
    """In order of time: raised if that was due while there was data, then stale."""
    stale_at = series.at + threshold.max_age if threshold.max_age is not None and series.live else None
    due = _due(threshold, gauge, series)
    if due is not None and due <= now and (stale_at is None or due <= stale_at):
        series = replace(series, raised=True)
    if stale_at is not None and stale_at < now:
        series = _no_data(threshold, series, now)
        due = _due(threshold, gauge, series)
        if due is not None and due <= now:
            series = replace(series, raised=True)
    return series


def _due(threshold: Threshold, gauge: ThresholdState, series: Series) -> float | None:
    """When a crossed series will be raised if nothing changes; None if that needs more than time."""
    if series.raised or series.since is None or series.row < threshold.row:
        return None
    if not series.live and threshold.no_data != "fire":
        return None
    return series.since + threshold.hold + (threshold.jitter if _first(gauge, series.since) else 0.0)


def _first(gauge: ThresholdState, since: float) -> bool:
    """Whether the series had crossed when the rule first saw it."""
    return gauge.seen_at is None or since <= gauge.seen_at


def _why_so_late(threshold: Threshold, gauge: ThresholdState, until: float) -> str:
    """Text that explains a wait longer than `for`."""
    late = threshold.jitter > 0 and any(
        series.since is not None and _first(gauge, series.since) and _due(threshold, gauge, series) == until
        for series in gauge.series.values()
    )
    return ", crossed at the first evaluation: delayed by `jitter`" if late else ""


def raised(gauge: ThresholdState) -> int:
    return sum(series.raised for series in gauge.series.values())


def _needed(threshold: Threshold, gauge: ThresholdState) -> int:
    """Series without data count as known: they had a state, and keep it by `no_data`."""
    return 1 if NOTHING in gauge.series else threshold.needed(len(gauge.series))


def next_change(threshold: Threshold, gauge: ThresholdState, now: float) -> float | None:
    """The next time later than ``now`` at which a series may change without a sample."""
    moments: list[float | None] = [_due(threshold, gauge, series) for series in gauge.series.values()]
    if threshold.max_age is not None:
        # 1 ms later, so that the sample is older than max_age then.
        moments += [series.at + threshold.max_age + 0.001 for series in gauge.series.values() if series.live]
    return min((m for m in moments if m is not None and m > now), default=None)


def judge(threshold: Threshold, gauge: ThresholdState) -> Verdict:
    """Evaluate the state as of its last `advance`."""
    needed, high = _needed(threshold, gauge), raised(gauge)
    furthest = worst(threshold, gauge.series.values())
    detail = in_words(threshold, furthest, len(gauge.series), high, needed)
    if high >= needed:
        if not gauge.quiet:
            return Verdict(True, Reason.THRESHOLD, detail)
        until = None if gauge.answered_at is None else gauge.answered_at + threshold.repeat
        return Verdict(False, Reason.QUIET, f"{detail}, answered by a run already", until)
    waits = [due for series in gauge.series.values() if (due := _due(threshold, gauge, series)) is not None]
    if high + len(waits) >= needed:
        until = sorted(waits)[needed - high - 1]
        return Verdict(False, Reason.FOR_PENDING, detail + _why_so_late(threshold, gauge, until), until)
    if gauge.trouble or not any(series.live for series in gauge.series.values()):
        return Verdict(False, Reason.NO_DATA, gauge.trouble or "no series has data")
    return Verdict(False, Reason.BELOW_THRESHOLD, detail)


def in_words(threshold: Threshold, furthest: float | None, known: int, high: int, needed: int) -> str:
    """The state of ``known`` series in words, of which ``high`` are raised and ``needed`` must be.

    ``furthest`` is the value farthest on the crossing side; None without data.
    """
    sign = ">" if threshold.high else "<"
    if threshold.alerts:
        early = not high and furthest is not None and threshold.crossed(furthest)
        return "an alert is firing, not for long enough" if early else f"{many(high, 'alert')} firing"
    if furthest is None:
        return f"no data, threshold {sign} {threshold.bound:g}"
    if known == 1 and needed == 1:
        return f"{furthest:g} against {sign} {threshold.bound:g}"
    count = f"{part(high, known, 'series')} {sign} {threshold.bound:g}{_qualified(threshold, furthest, high)}"
    return f"{count} ({needed} needed), the {'highest' if threshold.high else 'lowest'} at {furthest:g}"


def _qualified(threshold: Threshold, furthest: float, high: int) -> str:
    """What makes the number of raised series differ from what the values say; empty if it does not."""
    if not high and threshold.crossed(furthest):
        return " for long enough"
    return " and not cleared yet" if high and not threshold.crossed(furthest) else ""


def answered(gauge: ThresholdState, now: float | None) -> ThresholdState:
    """The state after a run answered it: the run ended at ``now``, or is active (None)."""
    return replace(gauge, quiet=True, answered_at=now)


def worst(threshold: Threshold, gauges: Iterable[Series]) -> float | None:
    """The value farthest on the crossing side of the threshold; None without data."""
    values = [series.value for series in gauges if series.live and series.value is not None]
    if not values:
        return None
    return max(values) if threshold.high else min(values)
