"""CEL as rules use it: compiled once, evaluated by counted steps (docs/decisions/0022)."""

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
"""Steps that all rules together may take of one event: a second. The transaction that takes it in waits for them."""
LEAST = 1000
"""Steps that a rule may take all the same, so that one that asks little does not pay for those before it."""
_SPENT = (
    f"the rules before it took {OF_AN_EVENT} steps of this event, so it may take {LEAST}: filter with `match`, or send "
    "less in one event"
)


class BudgetBalance:
    """What is ``left`` of the steps that all rules may take of one event. It is theirs in the order of the rules."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = OF_AN_EVENT

    def grant(self) -> int:
        """How many steps the next evaluation may take."""
        return min(BUDGET, max(self.left, LEAST))


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression. ``variables`` are the names it reads; ``cost`` is in steps, without its macros' items.

    ``run`` takes a frame of ``places`` (retrainer.rules.cel.frame). ``data_read`` are the fields of `data` that it
    reads of the events in `events`; None if that may be any.
    """

    text: str
    variables: frozenset[str]
    cost: int
    places: int
    data_read: frozenset[str] | None
    run: Evaluate

    def evaluate(self, scope: Mapping[str, Any], balance: BudgetBalance | None = None) -> Any:
        """Return the value; raise ExpressionError with the reason if it has none.

        That is for a missing field, a wrong type, or where it takes more than `BUDGET` steps, or than ``purse`` has.
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
        """Return the value, and the steps that are left of ``budget``; raise ExpressionError as `evaluate` does."""
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
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this expression's alone
            raise ExpressionError(f"`{self.text}`: {type(error).__name__}: {error}") from None

    def steps(self, scope: Mapping[str, Any]) -> int:
        """How many steps an evaluation takes. Raise as `evaluate` does."""
        return BUDGET - self.spend(scope, BUDGET)[1]


@lru_cache(maxsize=4096)
def compile_cel(text: str) -> Program:
    """Compile; raise SyntaxProblem, a ValueError with the place and the way out."""
    node = parse(text)
    compiler = evaluate.Compiler()
    run, names = compiler.compile(node), free_names(node)
    fields = data_read(node) if "events" in names else frozenset()
    return Program(text, names, evaluate.cost(node), compiler.places, fields, run)


def timestamp(seconds: float | None) -> datetime | None:
    """Epoch seconds as CEL sees them; what lies beyond the calendar is its first or last moment."""
    return None if seconds is None else datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)


def event_scope(event: Event) -> dict[str, Any]:
    """An event as expressions see it."""
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
    balance: BudgetBalance | None = None,
) -> str:
    """The text that an expression gives for an event; raise ValueError if it is none that `values.name` takes."""
    value = program.evaluate({"event": event_scope(event)}, balance)
    try:
        return values.name(value, longest, printable=printable)
    except ValueError as error:
        needed = f"{what} is a text of 1 to {longest} characters, or a whole number"
        raise ValueError(f"`{program.text}` {error}; {needed}") from None
