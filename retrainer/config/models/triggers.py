"""Conditions, one kind each, and the calendars that schedules leave out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from retrainer.config.models.base import Cel, Count, Duration, Model, Size, Spread, Total

Times = Annotated[str, Field(pattern=r"^([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$")]
Match = Annotated[
    dict[Annotated[str, Field(max_length=512)], str | int | float | bool],
    Field(max_length=64),
]
"""Conditions by field; an index goes as deep as there are, and each part of a field is a step."""


class Calendar(Model):
    dates: Annotated[list[str], Field(max_length=10_000)] = []
    """Days, `2026-12-24` or `2026-12-24/2027-01-02`, both ends included."""
    weekdays: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    """Days of the week. Of dates, weekdays and times, a moment must be in each that is given."""
    times: Annotated[list[Times], Field(max_length=100)] = []
    """Times of the day, `08:00-18:00`; the end is not included, and may be past midnight."""
    timezone: str = "UTC"
    """IANA name of the zone the calendar is read in."""


class Dst(Model):
    missing: Literal["shift", "skip"] = "shift"
    """A local time that does not exist that day runs at the first one that does, or not at all."""
    repeated: Literal["first", "both"] = "first"
    """A local time that comes twice that day runs once or twice."""


class Schedule(Model):
    cron: Annotated[str, Field(max_length=1000)]
    """Five fields as in crontab(5) (both day fields set means OR; 0 and 7 are Sunday), or @hourly @daily @weekly
    @monthly @yearly."""
    timezone: str = "UTC"
    """IANA name of the zone the expression is read in."""
    dst: Dst = Dst()
    """What happens when clocks change; not to `*/30 * * * *` and its like (docs/reference/schedules.md)."""
    recover_missed: Literal["last", "none", "all"] = "last"
    """Which of the slots that passed while nobody could look are run."""
    catchup_window: Duration = 43200.0
    """How far back `recover_missed` looks."""
    jitter: Spread = 0.0
    """Spreads the start over this long; a hash of rule and slot, so it is the same on each
    replica and after a restart."""
    except_: Annotated[list[str], Field(alias="except")] = []
    """Calendars during which a slot is skipped."""


class AtLeast(Model):
    events: Total | None = None
    """So many events."""
    bytes: Size | None = None
    """So many bytes (`event.data.size`)."""
    rows: Total | None = None
    """So many rows (see `rows`)."""


class Batch(Model):
    at_least: AtLeast | None = None
    """The batch is complete with the first of these reached; one event, if neither this nor the other two are given."""
    or_after: Duration | None = None
    """Complete this long after the first pending event, however little came."""
    quiet_for: Duration | None = None
    """Debounce: complete only once nothing came for this long; `or_after` caps it."""


class Data(Model):
    source: str
    """Name of a source."""
    match: Match = {}
    """Fields of `event.data` (or `event.type`, `event.subject` …) that must be equal, or match a glob (`*` within a
    path part, `**` over them)."""
    where: Cel | None = None
    """CEL over `event`, true or false; runs on what `match` let through."""
    rows: Cel | None = None
    """CEL over `event`: how many rows the event brings."""
    distinct_by: Cel | None = None
    """CEL over `event`: what makes two events the same thing, such as `event.data.key`. The thing counts once in a
    window, with the size and rows it came with last."""
    ignore_own_outputs: bool | Match = True
    """Loop guard: what bears the id of a run of this very rule is not counted (docs/concepts/data.md says how it gets
    there), unless this is false. Fields as in `match`: what meets all of them is not counted either, whoever
    wrote it."""
    batch: Batch = Batch()
    """When enough has come."""


class SeriesCount(Model):
    series: Count | None = None
    """So many series."""
    percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """So many of a hundred; of those that are known, or of `of`."""
    of: Count | None = None
    """How many there should be, also if fewer are seen."""


class Metric(Model):
    source: str
    """Name of a source: `prometheus` is asked for `expr`, any other pushes values as events."""
    expr: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """PromQL. Rules that share an expression share one request."""
    match: Match = {}
    """Which series are meant: labels, for a query; fields of `event.data`, for pushed values. Equality or globs."""
    value: Cel | None = None
    """Pushed values only: CEL over `event` that gives the value; `event.data.value` if not given."""
    above: float | None = None
    """The threshold is crossed by values above it. Exactly one of `above` and `below`: distances fire high, p-values
    fire low."""
    below: float | None = None
    """The threshold is crossed by values below it."""
    clear: float | None = None
    """Hysteresis: what crossed the threshold has come back only at this value. The threshold itself if not given."""
    for_: Annotated[Duration, Field(alias="for")] = 0.0
    """The threshold must stay crossed for this long."""
    consecutive: Annotated[int, Field(ge=1, le=1000)] = 1
    """So many values in a row must cross it, for metrics that are pushed now and then."""
    at_least: SeriesCount = SeriesCount(series=1)
    """How many series it takes; `above`, `clear` and `for` hold for each by itself."""
    no_data: Literal["hold", "ok", "fire"] = "hold"
    """What a series means that is missing, stale, NaN or infinite, or whose source does not answer: nothing changes,
    as if it had cleared, or as if it had crossed."""
    max_sample_age: Duration | None = None
    """An older value is no data."""
    sample_time: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """PromQL that gives, for the labels it shares with a series, when the sample was really taken, in seconds since the
    epoch: `push_time_seconds` of a Pushgateway, which goes on telling old values as if they were new."""
    repeat_interval: Duration = 86400.0
    """While it stays crossed, it is satisfied again this long after the run it helped to start has ended."""
    jitter: Duration = 300.0
    """What is crossed already when the rule first looks waits up to this much longer (a hash of rule, key and trigger),
    so that many new rules do not start at once."""


class Alert(Model):
    source: str
    """Name of an `alertmanager` source."""
    match: Match = {}
    """Labels that must be equal, or match a glob."""
    for_: Annotated[Duration, Field(alias="for")] = 0.0
    """The alert must fire for this long, beyond what Alertmanager waits."""
    repeat_interval: Duration = 86400.0
    """While it goes on firing, it is satisfied again this long after the run it helped to start has ended."""


class Freshness(Model):
    max_age: Duration
    """Satisfied when the last run that counts is older than this; before the first one, when the rule is."""
    of: Literal["succeeded", "promoted"] = "succeeded"
    """Which runs count: those that succeeded, or only those whose model was promoted (`feedback`)."""
    jitter: Duration | None = None
    """Before the first run, up to this much later (a hash of rule, key and trigger); a tenth of `max_age` if not
    given, so that many new rules do not start at once."""
    again_after: Duration = 3600.0
    """After a run that did not count, satisfied again only this long after its end."""


class After(Model):
    rule: str
    """Name of the rule whose runs are waited for."""
    outcome: Literal["succeeded", "promoted", "failed", "completed"] = "succeeded"
    """How its run has to end, retries included; `completed` takes any end."""
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
