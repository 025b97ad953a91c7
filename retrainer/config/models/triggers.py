"""Triggers, one model per kind, and the calendars that schedules leave out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from retrainer.config.models.base import Cel, Count, Duration, Model, Size, Spread, Total, longer_than_nothing

Times = Annotated[str, Field(pattern=r"^([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$")]
Match = Annotated[
    dict[Annotated[str, Field(max_length=512)], str | int | float | bool],
    Field(max_length=64),
]
"""Conditions by field. The index has one level per condition, and each part of a field name is a step."""


class Calendar(Model):
    dates: Annotated[list[str], Field(max_length=10_000)] = []
    """Days, `2026-12-24` or `2026-12-24/2027-01-02`, both ends included."""
    weekdays: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    """Days of the week. A time is inside the calendar if it meets all given ones of `dates`, `weekdays` and `times`."""
    times: Annotated[list[Times], Field(max_length=100)] = []
    """Times of day, such as `08:00-18:00`. The end is not included, and may be after midnight."""
    timezone: str = "UTC"
    """IANA time zone of the calendar."""


class Dst(Model):
    missing: Literal["shift", "skip"] = "shift"
    """A local time that does not exist on a day is due at the first time after the gap (`shift`), or not at all
    (`skip`)."""
    repeated: Literal["first", "both"] = "first"
    """A local time that occurs twice on a day is due the first time only, or both times."""


class Schedule(Model):
    cron: Annotated[str, Field(max_length=1000)]
    """Five fields as in crontab(5) (both day fields set means OR; 0 and 7 are Sunday), or @hourly @daily @weekly
    @monthly @yearly."""
    timezone: str = "UTC"
    """IANA time zone of the expression."""
    dst: Dst = Dst()
    """What happens when clocks change. Has no effect on expressions such as `*/30 * * * *`
    (docs/reference/schedules.md)."""
    recover_missed: Literal["last", "none", "all"] = "last"
    """Which slots run that passed while the daemon was down."""
    catchup_window: Duration = 43200.0
    """How far back `recover_missed` looks."""
    jitter: Spread = 0.0
    """Delays the start by up to this time. The delay is a hash of rule and slot, so it is the same on each replica and
    after a restart."""
    except_: Annotated[list[str], Field(alias="except")] = []
    """Calendars during which a slot is skipped."""


class AtLeast(Model):
    events: Total | None = None
    """This many events."""
    bytes: Size | None = None
    """This many bytes (`event.data.size`)."""
    rows: Total | None = None
    """This many rows (see `rows`)."""


class Batch(Model):
    at_least: AtLeast | None = None
    """The batch is complete when the first of these is reached. Default: one event, if neither `max_wait` nor
    `debounce` is given."""
    max_wait: Duration | None = None
    """The batch is complete this long after its first event, whatever its size."""
    debounce: Duration | None = None
    """The batch is complete only after no event has arrived for this long; `max_wait` limits the total wait."""


class Data(Model):
    source: str
    """Name of a source."""
    match: Match = {}
    """Fields of `event.data` (or `event.type`, `event.subject` …) that must be equal, or match a glob (`*` within a
    path part, `**` over them)."""
    where: Cel | None = None
    """CEL over `event`, true or false. Evaluated for events that meet `match`."""
    rows: Cel | None = None
    """CEL over `event`: the number of rows of the event."""
    distinct_by: Cel | None = None
    """CEL over `event`: names the object that the event is about, such as `event.data.key`. An object counts once in a
    window, with the size and rows of its latest event."""
    ignore_own_outputs: bool | Match = True
    """Prevents loops: events that carry the id of a run of the same rule are not counted (docs/concepts/data.md),
    unless this is false. With fields as in `match`, events that meet all of them are not counted either, whoever wrote
    them."""
    batch: Batch = Batch()
    """When there is enough data."""


class SeriesCount(Model):
    series: Count | None = None
    """This many series."""
    percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """This percentage of the known series, or of `of`."""
    of: Count | None = None
    """The expected number of series, even if fewer exist."""


class Metric(Model):
    source: str
    """Name of a source. A `prometheus` source queries `expr`; any other source brings values as events."""
    expr: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """PromQL. Rules with the same expression share one query."""
    match: Match = {}
    """Selects series: by labels of a query, or by fields of `event.data` of pushed values. Equality or globs."""
    value: Cel | None = None
    """Pushed values only: CEL over `event` that gives the value. Default: `event.data.value`."""
    above: float | None = None
    """Threshold that is crossed by values above it. Exactly one of `above` and `below`: use `above` for distances,
    `below` for p-values."""
    below: float | None = None
    """Threshold that is crossed by values below it."""
    clear: float | None = None
    """Hysteresis: a series that crossed the threshold counts as crossed until it reaches this value. Default: the
    threshold."""
    for_: Annotated[Duration, Field(alias="for")] = 0.0
    """The threshold must stay crossed for this long."""
    consecutive: Annotated[int, Field(ge=1, le=1000)] = 1
    """This many consecutive values must cross it. For values that are pushed from time to time."""
    at_least: SeriesCount = SeriesCount(series=1)
    """How many series must cross. `above`, `clear` and `for` apply to each series by itself."""
    no_data: Literal["hold", "ok", "fire"] = "hold"
    """What no data means: a series that is missing, stale, NaN or infinite, or whose source does not answer. `hold`:
    nothing changes. `ok`: as if it had cleared. `fire`: as if it had crossed."""
    max_sample_age: Duration | None = None
    """An older value counts as no data."""
    sample_time: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """PromQL that gives the real time of a sample, in seconds since the epoch, for series with the same labels:
    `push_time_seconds` of a Pushgateway, which continues to expose old values as if they were new."""
    repeat_interval: Duration = 86400.0
    """While it stays crossed, it is satisfied again this long after the end of the run that it helped to start."""
    jitter: Duration = 300.0
    """A metric that is past its threshold when a new rule evaluates it first waits up to this time (a hash of rule, key
    and trigger), so that many new rules do not start at once."""


class Alert(Model):
    source: str
    """Name of an `alertmanager` source."""
    match: Match = {}
    """Labels that must be equal, or match a glob."""
    for_: Annotated[Duration, Field(alias="for")] = 0.0
    """The alert must fire for this long, in addition to the waits in Prometheus and Alertmanager."""
    repeat_interval: Duration = 86400.0
    """While it continues to fire, it is satisfied again this long after the end of the run that it helped to start."""


class Freshness(Model):
    max_age: Annotated[Duration, longer_than_nothing("write such as 14d")]
    """Satisfied when the last run that counts is older than this; before the first such run, when the rule is."""
    of: Literal["succeeded", "promoted"] = "succeeded"
    """Which runs count: those that succeeded, or only those whose model was promoted (`feedback`)."""
    jitter: Duration | None = None
    """Delays the first run by up to this time (a hash of rule, key and trigger), so that many new rules do not start at
    once. Default: a tenth of `max_age`."""
    min_retry_interval: Annotated[Duration, longer_than_nothing("write such as 1h")] = 3600.0
    """After a run that did not count, satisfied again only this long after its end."""


class After(Model):
    rule: str
    """Name of the upstream rule."""
    outcome: Literal["succeeded", "promoted", "failed", "completed"] = "succeeded"
    """How its run must end, retries included. `completed` accepts any end."""
    where: Cel | None = None
    """CEL over `upstream` (`id`, `rule`, `key`, `phase`, `outputs`, `parameters`), true or false."""


class Trigger(Model):
    """Exactly one of these."""

    schedule: Schedule | None = None
    """Satisfied when a slot of a cron expression is due."""
    data: Data | None = None
    """Satisfied when a batch of data is complete."""
    metric: Metric | None = None
    """Satisfied while a value has crossed its threshold."""
    alert: Alert | None = None
    """Satisfied while an alert fires."""
    freshness: Freshness | None = None
    """Satisfied when the model is too old."""
    after: After | None = None
    """Satisfied when a run of another rule has ended."""
