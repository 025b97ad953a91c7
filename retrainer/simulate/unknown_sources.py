"""Detect events of unknown sources: a misspelled name must not look like a rule without events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.simulate.history import BadHistory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from retrainer.simulate.history import History, HistoryRecord


def without_strangers(path: str, history: History, known: Collection[str]) -> History:
    """Return the history; its records raise BadHistory for a source that is similar to a ``known`` one (misspelled).

    The history of a store is returned unchanged: its sources were known once.
    """
    if not history.plain:
        return history

    def records() -> Iterator[HistoryRecord]:
        for record in history.records():
            if record.event is not None and record.event.source not in known:
                hint = did_you_mean(record.event.source, known)
                if hint.startswith("did"):
                    raise BadHistory(f"{path}: event {record.event.id}: {_no_source(record.event.source)} ({hint})")
            yield record

    return replace(history, records=records)


def strangers(history: History, known: Collection[str]) -> list[str]:
    """Return the sources of events that no rule file has (any more). These events are ignored."""
    return sorted(history.sources - frozenset(known))


def _no_source(source: str) -> str:
    return f"no rule file defines the source `{source:.100}`"
