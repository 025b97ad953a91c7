"""Group the records of a history by time, and records at one time by their transactions."""

from __future__ import annotations

import heapq
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from retrainer.engine.commands import operator_commands
from retrainer.engine.core import journal
from retrainer.simulate.history import HistoryRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.simulate.history import History
    from retrainer.simulate.poll_coalescing import Split

ADMITTED = "Admitted"
"""Kind of a record that is not in the journal: a run was admitted."""
_BY_HAND = journal.ASKED | {"Imported", "Resumed", "PromotionReported", "Reopened", "Ended", operator_commands.PAUSED}
_AT = itemgetter(0)


class RuleGroup(NamedTuple):
    """Records at one time that belong to one transaction."""

    at: float
    records: list[HistoryRecord]


class Groups:
    """The groups of a history and of the ``metrics`` that were looked up, in order."""

    def __init__(self, history: History, metrics: Split) -> None:
        self._groups = _grouped(history, metrics)
        self._next = next(self._groups, None)

    def peek(self) -> RuleGroup | None:
        """Return the next group without taking it; None if all were taken."""
        return self._next

    def take(self) -> None:
        self._next = next(self._groups, None)


def _grouped(history: History, metrics: Split) -> Iterator[RuleGroup]:
    admitted = sorted((run.admitted_at, run.rule) for run in history.runs if run.admitted_at is not None)
    moments = iter([HistoryRecord(at, None, ADMITTED, rule) for at, rule in admitted])
    polls = [range_.records() for range_ in metrics.polled]
    followed = sorted(
        (HistoryRecord(one.range.at(i), None, poll=(one, i)) for one in metrics.followed for i in one.unrest), key=_AT
    )
    records: Iterator[HistoryRecord] = heapq.merge(history.records(), *polls, followed, key=_AT)
    merged = _merged(records, moments) if admitted else records
    for at, records in groupby(merged, key=_AT):
        for turn in _turns(records):
            yield RuleGroup(at, turn)


def _turns(records: Iterator[HistoryRecord]) -> Iterator[list[HistoryRecord]]:
    """Split the records of one time into transactions: one starts with wake-ups, and ends with slots."""
    turn: list[HistoryRecord] = []
    for record in records:
        last = turn[-1].kind if turn else "Wake"
        begins = record.kind == "Wake" and last not in ("Wake", operator_commands.PAUSED)
        ended = last == "SlotDue" and (record.event is not None or record.kind in _BY_HAND)
        if begins or ended:
            yield turn
            turn = []
        turn.append(record)
    yield turn


def _merged(records: Iterator[HistoryRecord], moments: Iterator[HistoryRecord]) -> Iterator[HistoryRecord]:
    """Merge by time. At the same time, ``records`` come first, in their order."""
    waiting = next(moments, None)
    for record in records:
        while waiting is not None and waiting.at < record.at:
            yield waiting
            waiting = next(moments, None)
        yield record
    if waiting is not None:
        yield from chain([waiting], moments)
