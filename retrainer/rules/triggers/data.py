"""A data trigger is satisfied when its batch is complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.rules.expression import LONGEST_KEY, Program, StepBudget, compile_cel, event_scope, name_by
from retrainer.rules.match import Condition, conditions
from retrainer.rules.nodes import Measure, Node, node
from retrainer.rules.outcome import Reason
from retrainer.rules.self_trigger import OwnOutputs, own_outputs
from retrainer.rules.triggers.kind import CompiledTrigger, TriggerContext, TriggerKind, Verdict
from retrainer.util import values
from retrainer.util.counts import many, part

if TYPE_CHECKING:
    from retrainer.config.models import AtLeast, Batch, Data
    from retrainer.event import Event
    from retrainer.rules.state import State
    from retrainer.rules.window import Window


_UNITS = ("events", "bytes", "rows")


@dataclass(frozen=True, slots=True)
class CompiledData(CompiledTrigger):
    """A data trigger of a rule."""

    rule: str
    name: str
    source: str
    conditions: tuple[Condition, ...]
    where: Program | None
    rows: Program | None
    distinct: Program | None
    by: Program | None
    own: OwnOutputs
    batch: Batch

    @property
    def counts_bytes(self) -> bool:
        """Whether `at_least` of the batch has a limit in bytes."""
        return self.batch.at_least is not None and self.batch.at_least.bytes is not None

    def wants(self, event: Event, balance: StepBudget | None = None) -> bool:
        """Whether `where` is true for the event. Raise ValueError if it cannot be evaluated."""
        if self.where is None:
            return True
        answer = self.where.evaluate({"event": event_scope(event)}, balance)
        if not isinstance(answer, bool):
            raise ValueError(f"`{self.where.text}` is {type(answer).__name__}, not true or false")  # noqa: TRY004
        return answer

    def key(self, event: Event, balance: StepBudget | None = None) -> str:
        """The key of `for_each`; empty for a rule without `for_each`. Raise ValueError if the event has no key."""
        if self.by is None:
            return ""
        return name_by(self.by, event, LONGEST_KEY, "a key", balance=balance)

    def distinct_value(self, event: Event, balance: StepBudget | None = None) -> str:
        """The value that `distinct_by` counts once; empty without `distinct_by`. Raise ValueError if there is none."""
        if self.distinct is None:
            return ""
        return name_by(self.distinct, event, 2000, "a thing that counts once", printable=False, balance=balance)

    def measure(self, event: Event, balance: StepBudget | None = None) -> tuple[int, int]:
        """Bytes and rows that the event adds. Raise ValueError if they cannot be read.

        An invalid size counts as 0 for a trigger that does not count bytes: the field may mean something else.
        """
        size, rows = event.data.get("size", 0), 0
        if self.rows is not None:
            given = self.rows.evaluate({"event": event_scope(event)}, balance)
            try:
                rows = values.rows(given)
            except ValueError as error:
                raise ValueError(f"`{self.rows.text}` {error}") from None
        if type(size) is int and 0 <= size <= values.MOST:
            return size, rows
        try:
            return values.amount(size), rows
        except ValueError as error:
            if not self.counts_bytes and not isinstance(error, values.TooLargeError):
                return 0, rows
            raise

    def judge(self, state: State, now: float) -> Verdict:
        window = state.windows.get(self.name)
        if window is None or not window.events:
            return Verdict(False, Reason.BATCH_INCOMPLETE, "no data pending")
        return judge(self.batch, window, now)

    def explain(self, state: State, now: float) -> Node:
        window = state.windows.get(self.name)
        if window is None or not window.events:
            return node(self.name, "waiting", "no data pending")
        counts = [
            node(unit, str(getattr(window, unit)), "pending", measure=self._measure(window, unit)) for unit in _UNITS
        ]
        shown = self._explained(judge(self.batch, window, now), children=counts)
        if state.lapsed:
            return shown | {"state": "given up", "detail": f"{shown['detail']}; waits for new data"}
        return shown

    def _measure(self, window: Window, unit: str) -> Measure | None:
        needed = getattr(self.batch.at_least, unit, None)
        return Measure(getattr(window, unit), needed, unit=unit) if needed else None

    def cause(self, state: State) -> dict[str, Any]:
        window, needed = state.windows[self.name], self.batch.at_least
        if needed is None:
            return {"events": window.events}
        limits = needed.model_dump(exclude_none=True)
        return {**{unit: getattr(window, unit) for unit in limits}, "at_least": limits}


def judge(batch: Batch, window: Window, now: float) -> Verdict:
    """Evaluate a window.

    Data that a run returned (`fresh` is false) does not complete a batch by its size: it needs new data, or time.
    """
    give_up = window.first_at + batch.max_wait if batch.max_wait is not None else None
    if give_up is not None and now >= give_up:
        return Verdict(True, Reason.BATCH_COMPLETE, f"{_amount(window)} pending for max_wait")
    if not window.fresh:
        return Verdict(
            False, Reason.BATCH_INCOMPLETE, f"{_amount(window)} returned by a run, waiting for new data", give_up
        )
    if not reached(batch, window):
        return Verdict(False, Reason.BATCH_INCOMPLETE, f"{_progress(batch.at_least, window)} so far", give_up)
    quiet = window.last_at + batch.debounce if batch.debounce is not None else now
    if now < quiet:
        until = quiet if give_up is None else min(quiet, give_up)
        return Verdict(False, Reason.DEBOUNCE, f"{_amount(window)}, still arriving", until)
    return Verdict(True, Reason.BATCH_COMPLETE, _amount(window))


def reached(batch: Batch, window: Window) -> bool:
    """Whether the size is enough, by events, bytes or rows. Without `at_least`, only a lone `max_wait` needs more."""
    needed = batch.at_least
    if needed is None:
        return batch.debounce is not None or batch.max_wait is None
    return bool(
        (needed.events and window.events >= needed.events)
        or (needed.bytes and window.bytes >= needed.bytes)
        or (needed.rows and window.rows >= needed.rows)
    )


def _amount(window: Window) -> str:
    counts = ((getattr(window, unit), unit) for unit in _UNITS)
    return ", ".join(many(count, unit.removesuffix("s")) for count, unit in counts if count)


def _progress(needed: AtLeast | None, window: Window) -> str:
    if needed is None:
        return _amount(window)
    limits = ((getattr(window, unit), getattr(needed, unit), unit) for unit in _UNITS)
    return ", ".join(part(count, limit, unit.removesuffix("s")) for count, limit, unit in limits if limit)


def _compile(asked: Data, context: TriggerContext) -> CompiledData:
    return CompiledData(
        rule=context.rule,
        name=context.name,
        source=asked.source,
        conditions=conditions(asked.match),
        where=compile_cel(asked.where) if asked.where else None,
        rows=compile_cel(asked.rows) if asked.rows else None,
        distinct=compile_cel(asked.distinct_by) if asked.distinct_by else None,
        by=context.by,
        own=own_outputs(asked.ignore_own_outputs),
        batch=asked.batch,
    )


KIND = TriggerKind(_compile, ("source", "match", "where", "rows", "distinct_by"), fleeting=True)
