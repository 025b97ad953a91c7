"""CEL as rules use it: compiled once, evaluated with a budget of steps (docs/decisions/0022)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from retrainer.rules.cel import evaluate
from retrainer.rules.cel.errors import ExpressionError, OverBudget
from retrainer.rules.cel.parse import parse
from retrainer.rules.cel.reads import data_read
from retrainer.rules.cel.syntax import free_names
from retrainer.rules.cel.values import BUDGET, charge
from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.event import Event
    from retrainer.rules.cel.frame import Evaluate

LONGEST_KEY = 200
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (1, 9999))


OF_AN_EVENT = 10 * BUDGET
"""Steps that all rules together may take for one event: one second. The transaction that stores it waits for them."""
LEAST = 1000
"""Steps that a rule may always take, so that a cheap rule does not fail because of the rules before it."""
_SPENT = (
    f"the rules before it took {OF_AN_EVENT} steps of this event, so it may take {LEAST}: filter with `match`, or send "
    "less in one event"
)


class StepBudget:
    """The steps ``left`` of those that all rules may take for one event. Rules consume them in their order."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = OF_AN_EVENT

    def grant(self) -> int:
        """The number of steps that the next evaluation may take."""
        return min(BUDGET, max(self.left, LEAST))


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression. ``variables`` are the names it reads; ``cost`` is in steps, without the items of macros.

    ``run`` takes a frame of ``places`` (retrainer.rules.cel.frame). ``data_read`` are the fields of `data` that it
    reads from the events in `events`; None if any field may be read.
    """

    text: str
    variables: frozenset[str]
    cost: int
    places: int
    data_read: frozenset[str] | None
    run: Evaluate

    def evaluate(self, scope: Mapping[str, Any], balance: StepBudget | None = None) -> Any:
        """Return the value. Raise ExpressionError with the reason if it has none.

        Reasons: a missing field, a wrong type, or more steps than `BUDGET` or than ``balance`` grants.
        """
        if balance is None:
            return self._run(self._frame(scope, BUDGET))
        granted = balance.grant()
        frame = self._frame(scope, granted)
        try:
            return self._run(frame)
        except OverBudget:
            if granted == BUDGET:
                raise
            raise OverBudget(f"`{self.text}`: {_SPENT}") from None
        finally:
            balance.left -= granted - max(frame[1], 0)

    def spend(self, scope: Mapping[str, Any], budget: int) -> tuple[Any, int]:
        """Return the value, and the steps that remain of ``budget``. Raise ExpressionError as `evaluate` does."""
        frame = self._frame(scope, budget)
        return self._run(frame), frame[1]

    def _frame(self, scope: Mapping[str, Any], budget: int) -> list[Any]:
        frame: list[Any] = [None] * self.places
        frame[0], frame[1] = scope, budget
        return frame

    def _run(self, frame: list[Any]) -> Any:
        try:
            charge(frame, self.cost)
            return self.run(frame)
        except ExpressionError as error:
            raise type(error)(f"`{self.text}`: {error}") from None
        except Exception as error:  # noqa: BLE001 - any error concerns this expression only
            raise ExpressionError(f"`{self.text}`: {type(error).__name__}: {error}") from None

    def steps(self, scope: Mapping[str, Any]) -> int:
        """Return the number of steps of an evaluation. Raise as `evaluate` does."""
        return BUDGET - self.spend(scope, BUDGET)[1]


@lru_cache(maxsize=4096)
def compile_cel(text: str) -> Program:
    """Compile. Raise SyntaxProblem, a ValueError with the place and a correction."""
    node = parse(text)
    compiler = evaluate.Compiler()
    run, names = compiler.compile(node), free_names(node)
    fields = data_read(node) if "events" in names else frozenset()
    return Program(text, names, evaluate.cost(node), compiler.places, fields, run)


def timestamp(seconds: float | None) -> datetime | None:
    """Epoch seconds as a CEL timestamp; times beyond the calendar become its first or last moment."""
    return None if seconds is None else datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)


def event_scope(event: Event) -> dict[str, Any]:
    """An event as a map for expressions."""
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time": timestamp(event.time),
        "subject": event.subject,
        "data": event.data,
        "attributes": event.shown_attributes(),
    }


def name_by(
    program: Program,
    event: Event,
    longest: int,
    what: str,
    *,
    printable: bool = True,
    balance: StepBudget | None = None,
) -> str:
    """The text that an expression returns for an event. Raise ValueError if `values.name` rejects it."""
    value = program.evaluate({"event": event_scope(event)}, balance)
    try:
        return values.name(value, longest, printable=printable)
    except ValueError as error:
        needed = f"{what} is a text of 1 to {longest} characters, or a whole number"
        raise ValueError(f"`{program.text}` {error}; {needed}") from None
