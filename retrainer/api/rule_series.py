"""The past of a rule on one time axis."""

from functools import partial
from typing import Any, Literal

from fastapi import APIRouter

from retrainer.api.description import problems
from retrainer.api.parameters import Context, KeyOfRule, Period, RuleName
from retrainer.api.pending_series import pending
from retrainer.api.series import Span, metric
from retrainer.api.views import Id, Moment, Phase, Strip, View
from retrainer.engine.retention import retention_marks
from retrainer.sources.http.refusal import Refusal
from retrainer.store import history

router = APIRouter(prefix="/rules", tags=["rules"])
DAY = 86400.0
MOST = 500
"""Decisions and runs of one answer."""


class Point(View):
    at: Moment
    value: float | None
    """null: there was no value, or it is not known."""


class Line(View):
    series: str
    samples: int
    """Values that were read; more than there are points if the line was thinned."""
    points: list[Point]
    """By time, at most 500. Of each of 166 equal parts of the time, the lowest and the highest value are kept."""


class MetricSeries(View):
    """The values of a metric or alert trigger, at the times at which they arrived."""

    trigger: str
    side: Literal["above", "below"]
    """On which side of `limit` a value satisfies the trigger."""
    limit: float
    """The threshold, as the rule is now."""
    clear: float
    alerts: bool
    """Whether the series are alerts: 1 firing, 0 resolved."""
    lines: list[Line]
    """At most five series: those that came furthest."""
    more: int
    """Number of further series."""
    read_since: Moment
    """The values are complete from here on. To read on, ask with this as `until`."""


class PendingSeries(View):
    """How much data was pending for a data trigger. Each amount lasts until the following point."""

    trigger: str
    unit: Literal["events", "bytes", "rows"]
    limit: float | None = None
    """The size of a complete batch, as the rule is now; null if the batch has none in this unit."""
    points: list[Point]
    read_since: Moment
    """Earlier amounts were not computed, as too many events arrived since."""
    only_runs: bool
    """Only what each run took is known, as the trigger counts distinct values."""


class Bar(View):
    """A run."""

    id: Id
    phase: Phase
    trigger: str
    reason: str
    attempt: int
    created_at: Moment
    started_at: Moment | None = None
    ended_at: Moment | None = None


class Kept(View):
    """What is stored of the past. It is pruned by age and by size."""

    decisions_since: Moment | None = None
    """The first decision of this rule and key that is kept; null if none is."""
    events_since: Moment | None = None
    """Events that arrived before may have been pruned, and values and pending data with them; null if none were."""


class RuleSeries(View):
    rule: str
    key: str
    since: Moment
    until: Moment
    metrics: list[MetricSeries]
    pending: list[PendingSeries]
    decisions: list[Strip]
    """The latest 500 of the time, newest first, and before these the one that held at its beginning."""
    runs: list[Bar]
    """The latest 500 that were active in the time, newest first."""
    kept: Kept


@router.get("/{rule}/series", response_model=RuleSeries, responses=problems(404))
def show_series(api: Context, period: Period, rule: RuleName, key: KeyOfRule = "") -> Any:
    """The past of a rule: values with their thresholds, pending data, decisions and runs. Default: the last day."""
    compiled = api.engine.catalog.rules.get(rule)
    if compiled is None:
        raise Refusal(404, f"there is no rule {rule!r}")
    since, until = period
    now = api.engine.clock.now()
    end = min(until, now) if until is not None else now
    begin = min(since, end) if since is not None else end - DAY
    span = Span(compiled, key, begin, end)
    store = api.engine.store
    decisions, oldest = store.read(partial(history.decided, rule=rule, key=key, since=begin, until=end, limit=MOST))
    runs = store.read(partial(history.runs_then, rule=rule, key=key, since=begin, until=end, limit=MOST))
    return {
        "rule": rule,
        "key": key,
        "since": begin,
        "until": end,
        "metrics": [metric(store, span, gauge) for gauge in compiled.of_key(key).gauges.values()],
        "pending": pending(store, span),
        "decisions": decisions,
        "runs": runs,
        "kept": {"decisions_since": oldest, "events_since": store.read(retention_marks.pruned_to)},
    }
