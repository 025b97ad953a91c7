"""The numbers of a rule that can be moved in a simulation, with their present values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from retrainer.config.models.base import Model, written_duration, written_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.models import Rule

Unit = Literal["number", "count", "seconds", "bytes"]
_SECONDS: Unit = "seconds"
_OF_TRIGGER: dict[str, Unit] = {
    "metric.above": "number",
    "metric.below": "number",
    "metric.clear": "number",
    "metric.for": _SECONDS,
    "metric.consecutive": "count",
    "metric.at_least.series": "count",
    "metric.at_least.percent": "number",
    "metric.repeat_interval": _SECONDS,
    "metric.max_sample_age": _SECONDS,
    "alert.for": _SECONDS,
    "alert.repeat_interval": _SECONDS,
    "data.batch.at_least.events": "count",
    "data.batch.at_least.rows": "count",
    "data.batch.at_least.bytes": "bytes",
    "data.batch.max_wait": _SECONDS,
    "data.batch.debounce": _SECONDS,
    "freshness.max_age": _SECONDS,
    "freshness.min_retry_interval": _SECONDS,
}
_OF_RULE: dict[str, Unit] = {
    "limits.cooldown.period": _SECONDS,
    "limits.budget.runs": "count",
    "limits.budget.gpu_hours": "number",
    "limits.budget.per": _SECONDS,
    "limits.max_active": "count",
    "limits.pause_after_failures": "count",
    "limits.deadline": _SECONDS,
    "submit.retry.limit": "count",
    "feedback.backoff.factor": "number",
    "feedback.backoff.max": _SECONDS,
}
_OFFERED = {"metric.clear", "data.batch.max_wait", "data.batch.debounce", "limits.cooldown.period", "limits.deadline"}
"""Fields that can be moved although the rule does not have them."""
_ZERO = {_SECONDS: 86400.0, "count": 10.0, "bytes": 1e9, "number": 1.0}
"""The end of the range of a field without a value."""
_AROUND = 4.0


class MovableField(NamedTuple):
    """A number at a dotted path. ``value`` is None if the rule has none. ``least`` to ``most``: a useful range.

    ``given``: the rule or its template writes it.
    """

    path: str
    unit: Unit
    value: float | None
    written: str
    least: float
    most: float
    about: str
    given: bool


def movable(rule: Rule) -> list[MovableField]:
    """Return the fields of a rule, those of its triggers first."""
    return [field for path, unit in _paths(rule) if (field := _field(rule, path, unit)) is not None]


def _paths(rule: Rule) -> Iterator[tuple[str, Unit]]:
    for name in rule.triggers:
        for path, unit in _OF_TRIGGER.items():
            yield f"triggers.{name}.{path}", unit
    yield from _OF_RULE.items()


def _field(rule: Rule, path: str, unit: Unit) -> MovableField | None:
    """Return the field; None if the rule has no place for it, or no value where one would change what it is."""
    *above, last = path.split(".")
    place: object = rule
    about, given = "", True
    for step in (*above, last):
        if isinstance(place, dict):
            place = place.get(step)
            continue
        if not isinstance(place, Model):
            place = None
            break
        name = next((n for n, field in type(place).model_fields.items() if step in (n, field.alias)), "")
        about = type(place).model_fields[name].description or "" if name else ""
        given = given and name in place.model_fields_set
        place = getattr(place, name, None)
    offered = any(path.endswith(one) for one in _OFFERED) and _has_trigger(rule, above)
    if not isinstance(place, (int, float)) and not offered:
        return None
    value = float(place) if isinstance(place, (int, float)) else None
    least, most = _range(value, unit)
    return MovableField(path, unit, value, _written(value, unit), least, most, about, given)


def _has_trigger(rule: Rule, above: list[str]) -> bool:
    if above[0] != "triggers":
        return True
    return getattr(rule.triggers[above[1]], above[2]) is not None


def _range(value: float | None, unit: Unit) -> tuple[float, float]:
    least = 1.0 if unit in ("count", "bytes") else 0.0
    if not value:
        return least, _ZERO[unit]
    if unit in ("count", "bytes"):
        return least, value * _AROUND
    low, high = sorted((value / _AROUND, value * _AROUND))
    return low, high


def _written(value: float | None, unit: Unit) -> str:
    if value is None:
        return ""
    if unit == _SECONDS:
        return written_duration(value)
    return written_size(value) if unit == "bytes" else f"{value:.12g}"


def is_movable(rule: Rule, path: str) -> bool:
    """Return whether there may be a number at a path that a simulation can move."""
    return any(known == path for known, _ in _paths(rule))


def as_value(rule: Rule, path: str, value: str | float) -> str | float | int:
    """Return a value as it is written in files: a number of seconds as a duration."""
    unit = next((unit for known, unit in _paths(rule) if known == path), None)
    if unit is None or isinstance(value, str):
        return value
    if unit in ("count", "number"):
        return int(value) if float(value).is_integer() else value
    return written_duration(value) if unit == _SECONDS else written_size(round(value))
