"""Convert values to rows and back."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.event import Event, split_attributes
from retrainer.runs.run import Run, RunPhase
from retrainer.store.packing import pack, unpack_some

if TYPE_CHECKING:
    from sqlalchemy import Row

RUN_JSON = ("submit", "parameters", "labels", "window", "taken", "outputs", "resources", "cause")
"""Columns of runs that hold JSON."""
_RUN_FIELDS = tuple(f.name for f in fields(Run))


def dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def run_to_row(run: Run) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in _RUN_FIELDS}
    return {**row, "phase": run.phase.value, **{name: dump(row[name]) for name in RUN_JSON}}


def run_from_row(row: Row[Any]) -> Run:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented accessor
    decoded = {name: orjson.loads(values[name]) for name in RUN_JSON}
    return Run(**{**values, **decoded, "phase": RunPhase(values["phase"])})


def event_to_row(seq: int, at: float, event: Event, outcome: str, rules: str) -> tuple[Any, ...]:
    """Return a row of the ledger, columns in order. ``rules`` is a JSON list of [rule, key]."""
    return (
        seq,
        at,
        event.source,
        event.id,
        event.type,
        event.time,
        event.subject,
        pack(event.data),
        orjson.dumps(event.shown_attributes()).decode() if event.attributes or event.record else "{}",
        outcome,
        rules,
    )


def event_from_row(row: Row[Any]) -> Event:
    return event_in_part(row, None)[0]


def event_in_part(row: Row[Any], fields: frozenset[str] | None) -> tuple[Event, int]:
    """Return an event with these fields of its data (all if None), and the bytes of data and attributes read."""
    m = row._mapping  # noqa: SLF001 - SQLAlchemy's documented accessor
    data, size = unpack_some(m["data"], fields)
    attributes, record = split_attributes(orjson.loads(m["attributes"]))
    event = Event(m["source"], m["id"], m["type"], m["time"], data, m["subject"], attributes, record=record)
    return event, size + len(m["attributes"])
