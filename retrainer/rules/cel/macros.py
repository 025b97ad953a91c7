"""all, exists, exists_one, filter and map: each item is charged before it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.rules.cel.errors import ExpressionError, OverBudget
from retrainer.rules.cel.values import ABSORBED, charge, kind, truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from retrainer.rules.cel.frame import Evaluate, Frame


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over a list's items or a map's keys. ``place`` is the variable's in the frame, ``each`` steps per item."""

    of: Evaluate
    place: int
    each: int
    body: Evaluate
    where: Evaluate | None

    def items(self, frame: Frame) -> Iterator[Any]:
        """Yield each item, with the variable set to it."""
        of = self.of(frame)
        if type(of) is not list and type(of) is not dict:
            raise ExpressionError(f"{kind(of)} has no items to go through")
        for item in of:
            charge(frame, self.each)
            frame[self.place] = item
            yield item


def _deciding(loop: Loop, *, decides: bool, name: str) -> Evaluate:
    """The first deciding item decides, even if another item raises an error."""

    def run(frame: Frame) -> bool:
        problem: ExpressionError | None = None
        for _ in loop.items(frame):
            try:
                value = truth(loop.body(frame), name)
            except OverBudget:
                raise
            except ExpressionError as error:
                charge(frame, ABSORBED)
                problem = problem or error
            else:
                if value is decides:
                    return decides
        if problem is not None:
            raise problem
        return not decides

    return run


def _all(loop: Loop) -> Evaluate:
    return _deciding(loop, decides=False, name="`all`")


def _exists(loop: Loop) -> Evaluate:
    return _deciding(loop, decides=True, name="`exists`")


def _exists_one(loop: Loop) -> Evaluate:
    return lambda frame: sum(truth(loop.body(frame), "`exists_one`") for _ in loop.items(frame)) == 1


def _filter(loop: Loop) -> Evaluate:
    return lambda frame: [item for item in loop.items(frame) if truth(loop.body(frame), "`filter`")]


def _map(loop: Loop) -> Evaluate:
    body, where = loop.body, loop.where
    if where is None:
        return lambda frame: [body(frame) for _ in loop.items(frame)]
    return lambda frame: [body(frame) for _ in loop.items(frame) if truth(where(frame), "`map`")]


MACROS: Mapping[str, Callable[[Loop], Evaluate]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
}
