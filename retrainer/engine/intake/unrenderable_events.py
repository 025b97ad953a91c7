"""Find the events of a window that make rendering of a rule's parameters fail, and remove them from the window."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.engine.intake import distinct_by
from retrainer.engine.intake.dead_letters import dead
from retrainer.engine.intake.matching import match
from retrainer.engine.runs.parameter_scope import scope_of
from retrainer.rules.expression import event_scope
from retrainer.rules.outcome import NewRun, Spoiled
from retrainer.rules.parameters import MAX_EVENTS, ParameterTemplate, render
from retrainer.store import event_statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.engine.core.transaction import Transaction
    from retrainer.event import Event
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.triggers.data import CompiledData
    from retrainer.runs.run import Run

TRIALS = 100
"""Maximum renderings per search. If one event is bad, each rendering has half as many events as the one before."""
_OF_EVENTS = frozenset(("events", "window"))
_NUMBERS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class _Input:
    seq: int
    event: Event
    scope: dict[str, Any]


class _Search:
    """Finds the events that individually make rendering fail with the same error as all of them together."""

    def __init__(
        self, templates: Mapping[str, ParameterTemplate], scope: Mapping[str, Any], inputs: Sequence[_Input]
    ) -> None:
        self._templates, self._scope = templates, scope
        self._trials = TRIALS
        self._inputs = inputs
        self._wanted = self._error(inputs)

    def found(self) -> list[_Input]:
        """Return the bad events in order.

        Return none if rendering fails equally without events or without the bad ones: then single events are not the
        cause.
        """
        if not self._wanted or "steps" in self._wanted or self._error(()) == self._wanted:
            return []
        bad = self._bad(self._inputs)
        left = [one for one in self._inputs if one not in bad]
        return bad if not left or self._error(left) != self._wanted else []

    def _bad(self, inputs: Sequence[_Input]) -> list[_Input]:
        if self._trials <= 0 or self._error(inputs) != self._wanted:
            return []
        if len(inputs) == 1:
            return [*inputs]
        half = len(inputs) // 2
        return self._bad(inputs[:half]) + self._bad(inputs[half:])

    def _error(self, inputs: Sequence[_Input]) -> str:
        """Return the error that rendering from these events raises, with numbers removed; empty if it succeeds."""
        self._trials -= 1
        first, last = (inputs[0].event.label, inputs[-1].event.label) if inputs else ("", "")
        window = {**self._scope["window"], "first_key": first, "last_key": last}
        events = [one.scope for one in inputs[-MAX_EVENTS:]]
        try:
            render(self._templates, {**self._scope, "window": window, "events": events})
        except ValueError as error:
            return _NUMBERS.sub("", str(error))
        return ""


def take_out(
    tx: Transaction, rule: CompiledRule, run: Run, state_id: int, new_run: NewRun, error: str
) -> Spoiled | None:
    """Dead-letter the events that cause ``error``. Return what leaves the window with them, or None."""
    templates = {name: template for name, template in rule.parameters.items() if name not in new_run.parameters}
    wanted = frozenset().union(*(template.variables for template in templates.values()))
    if not new_run.window.events or not wanted & _OF_EVENTS:
        return None
    newest = tx.writes.numbered_inputs(state_id, new_run.window, None)
    oldest = event_statements.oldest_input(tx.conn, state_id, new_run.window.ranges)
    rows = oldest + [one for one in newest if one[0] != oldest[0][0]]
    inputs = [_Input(seq, event, event_scope(event)) for seq, event in rows]
    if not inputs:
        return None
    bad = _Search(templates, scope_of(tx, rule, run, state_id, new_run), inputs).found()
    left = [one for one in inputs if one not in bad]
    counts: dict[str, tuple[int, int, int]] = {}
    total = (0, 0, 0)
    for one in bad:
        dead(tx, one.event, "raised", error, rule.name)
        event_statements.take_back_input(tx.conn, state_id, (rule.name, run.key), one.seq)
        counted = _counts(tx, (rule.name, run.key), state_id, one.event, left)
        for name, share in counted.items():
            counts[name] = _sum(counts.get(name, (0, 0, 0)), share)
        total = _sum(total, max(counted.values(), default=(0, 0, 0)))
    keys = (left[0].event.label, left[-1].event.label) if left else ("", "")
    return Spoiled(counts, total, *keys) if bad else None


def _counts(
    tx: Transaction, where: tuple[str, str], state_id: int, event: Event, left: Sequence[_Input]
) -> dict[str, tuple[int, int, int]]:
    """Return what the event removes from each trigger. A value of `distinct_by` stays if another event carries it."""
    hits, _ = match(tx, event, only=where[:1])
    counts = {}
    for trigger, size, rows, value in hits[where].shares if where in hits else ():
        if value is None:
            counts[trigger.name] = (1, size, rows)
        elif not any(_same(trigger, one.event, value) for one in left):
            counts[trigger.name] = distinct_by.take_out(tx.conn, state_id, trigger.name, value)
    return counts


def _same(trigger: CompiledData, event: Event, value: str) -> bool:
    try:
        return trigger.wants(event) and trigger.distinct_value(event) == value
    except ValueError:
        return False


def _sum(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
