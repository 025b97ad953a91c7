"""Functions of lists, as Kubernetes and the CEL lists extension have them."""

from __future__ import annotations

from datetime import timedelta
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from retrainer.rules.cel import values
from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.cel.function import LIST, Function
from retrainer.rules.cel.values import charge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.cel.frame import Frame

_AN_ITEM = 4
_NOT_ORDERED = 2


def _sum(frame: Frame, items: list[Any]) -> Any:
    total: Any = 0
    for place, item in enumerate(items):
        charge(frame, _AN_ITEM)
        total = item if place == 0 else values.add(frame, total, item)
    if type(total) not in (int, values.UInt, float, timedelta):
        raise ExpressionError(f"`sum` adds numbers or durations, not {values.kind(total)}")
    return total


def _extreme(frame: Frame, items: list[Any], name: str, wanted: int) -> Any:
    if not items:
        raise ExpressionError(f"`{name}` of an empty list")
    found = items[0]
    for item in items:
        charge(frame, _AN_ITEM)
        found = item if values.order(frame, item, found) == wanted else found
    return found


def _sort(frame: Frame, items: list[Any]) -> list[Any]:
    def compared(a: Any, b: Any) -> int:
        charge(frame, _AN_ITEM)
        order = values.order(frame, a, b)
        return 0 if order == _NOT_ORDERED else order

    charge(frame, len(items))
    return sorted(items, key=cmp_to_key(compared))


def _distinct(frame: Frame, items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        charge(frame, 1)
        if not values.contains(frame, item, found):
            found.append(item)
    return found


LIST_FUNCTIONS: Mapping[str, Function] = {
    "sum": Function((LIST,), "any", _sum),
    "min": Function((LIST,), "any", lambda frame, items: _extreme(frame, items, "min", -1)),
    "max": Function((LIST,), "any", lambda frame, items: _extreme(frame, items, "max", 1)),
    "sort": Function((LIST,), "list", _sort, cost=4),
    "distinct": Function((LIST,), "list", _distinct, cost=4),
}
