"""Checks of metric, alert, freshness and `after` triggers that their models cannot express."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.check_expressions import BOOLEAN, NUMBER, check_cel, check_fields, check_match
from retrainer.config.models import AlertmanagerSource, PrometheusSource
from retrainer.config.violation import Violation, exactly_one
from retrainer.rules.environment import EVENT, UPSTREAM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.models import Alert, Metric, Source, Trigger
    from retrainer.config.tree import Path
    from retrainer.config.violation import Names


def check_levels(path: Path, trigger: Trigger, names: Names) -> Iterator[Violation]:
    if trigger.metric:
        yield from _metric((*path, "metric"), trigger.metric, names)
    if trigger.alert:
        yield from check_match((*path, "alert", "match"), trigger.alert.match)
        yield from _alert((*path, "alert"), trigger.alert, names)
    if trigger.after:
        yield from check_cel((*path, "after", "where"), trigger.after.where, UPSTREAM, BOOLEAN)


def _metric(path: Path, metric: Metric, names: Names) -> Iterator[Violation]:
    yield from _threshold(path, metric)
    yield from check_match((*path, "match"), metric.match)
    count = metric.at_least
    missing = "write {series: 3} or {percent: 50}"
    yield from exactly_one((*path, "at_least"), count, ("series", "percent"), missing=missing)
    if count.of is not None and count.percent is None:
        yield Violation((*path, "at_least", "of"), "`of` goes with `percent`", "remove it", of_key=True)
    yield from check_cel((*path, "value"), metric.value, EVENT, NUMBER)
    source = names.sources.get(metric.source)
    if isinstance(source, PrometheusSource):
        yield from _asked(path, metric, source)
    elif source is not None:
        yield from _pushed(path, metric, source, names)


def _threshold(path: Path, metric: Metric) -> Iterator[Violation]:
    yield from exactly_one(
        path,
        metric,
        ("above", "below"),
        "keep `above` for a distance, `below` for a p-value",
        "add such as `above: 0.2` (true above it, for a distance) or `below: 0.05` (true below it, for a p-value)",
    )
    if metric.clear is None or (metric.above is not None and metric.below is not None):
        return
    if metric.above is not None and metric.clear > metric.above:
        yield Violation(
            (*path, "clear"), f"on the wrong side: above `above: {metric.above:g}`", f"write at most {metric.above:g}"
        )
    if metric.below is not None and metric.clear < metric.below:
        yield Violation(
            (*path, "clear"), f"on the wrong side: below `below: {metric.below:g}`", f"write at least {metric.below:g}"
        )


def _asked(path: Path, metric: Metric, source: PrometheusSource) -> Iterator[Violation]:
    if metric.expr is None:
        yield Violation(path, "the query is missing", "add `expr:`, in PromQL")
    if metric.value is not None:
        yield Violation(
            (*path, "value"), "`value` is for pushed values; a query returns its own", "remove it", of_key=True
        )
    every = source.polling_interval
    for name, window in (("for", metric.for_), ("max_sample_age", metric.max_sample_age)):
        if window and window < every:
            yield Violation(
                (*path, name),
                f"shorter than its source's polling_interval of {every:g}s, so it cannot be met",
                f"write at least {every:g}s, or poll more often",
            )


def _pushed(path: Path, metric: Metric, source: Source, names: Names) -> Iterator[Violation]:
    if isinstance(source, AlertmanagerSource):
        hint = f"write `alert: {{source: {metric.source}, match: {{alertname: NAME}}}}` in place of `metric:`"
        yield Violation((*path, "source"), "alerts have no values", hint)
    yield from check_fields((*path, "match"), metric.match)
    for name in ("expr", "sample_time"):
        if getattr(metric, name) is not None:
            yield Violation(
                (*path, name),
                f"`{name}` is for a source of type prometheus; `{metric.source}` is a {source.type}",
                _instead_of_query(name, metric, names),
                of_key=True,
            )


def _instead_of_query(name: str, metric: Metric, names: Names) -> str:
    """What to write instead of a query or its time, for a source that does not answer queries."""
    known = [f"`source: {n}`" for n, one in names.sources.items() if isinstance(one, PrometheusSource)]
    write = "write `match: {metric: NAME}` in place of it" if name == "expr" and not metric.match else "remove it"
    return f"{write}, or name a source of type prometheus{': ' * bool(known)}{' or '.join(known[:3])}"


def _alert(path: Path, alert: Alert, names: Names) -> Iterator[Violation]:
    source = names.sources.get(alert.source)
    known = " or ".join(f"`source: {n}`" for n, one in names.sources.items() if isinstance(one, AlertmanagerSource))
    if source is not None and not isinstance(source, AlertmanagerSource):
        yield Violation(
            (*path, "source"),
            f"`{alert.source}` is a {source.type}, which has no alerts",
            f"write {known}" if known else "define a source of type alertmanager, and name it",
        )
