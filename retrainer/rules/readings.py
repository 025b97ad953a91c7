"""What a stored event said to one trigger of one key, from the functions that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.event import Event
from retrainer.rules.expression import LONGEST_KEY, name_by
from retrainer.rules.outcome import Sample
from retrainer.rules.triggers.threshold import series_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.rules.triggers.data import CompiledData
    from retrainer.rules.triggers.threshold import CompiledThreshold
    from retrainer.rules.window import Counted


def samples_of(gauge: CompiledThreshold, key: str, event: Event) -> list[Sample]:
    """Return the values that an event has for a metric or alert trigger; several only for the answer to a query."""
    if gauge.expr is not None:
        return [
            Sample(series_name("", one.data["labels"]), one.data["value"], one.data["time"])
            for one in _series(event)
            if _concerns(gauge, key, one)
        ]
    try:
        return [gauge.sample(event)] if _concerns(gauge, key, event) else []
    except ValueError:
        return []


def _series(event: Event) -> Iterator[Event]:
    for series in event.data.get("series") or ():
        yield Event(event.source, event.id, event.type, event.time, series)


def added_by(trigger: CompiledData, key: str, event: Event) -> Counted:
    """Return the events, bytes and rows that an event adds to a data trigger without `distinct_by`."""
    if not _concerns(trigger, key, event):
        return 0, 0, 0
    try:
        return (1, *trigger.measure(event)) if trigger.wants(event) else (0, 0, 0)
    except ValueError:
        return 0, 0, 0


def _concerns(trigger: CompiledThreshold | CompiledData, key: str, event: Event) -> bool:
    """Whether source, conditions and key fit. A value without a key is for each key."""
    if event.source != trigger.source or not all(condition.holds(event) for condition in trigger.conditions):
        return False
    if trigger.by is None:
        return True
    try:
        return name_by(trigger.by, event, LONGEST_KEY, "a key") == key
    except ValueError:
        return False
