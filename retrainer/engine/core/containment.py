"""Contain errors: a unit of work that raises does not affect the others.

A transaction is first folded without savepoints, which costs nothing. If anything in it raises, all of it is rolled
back and folded again carefully: each unit (an event, an act, a wake-up, an observation) then has its own savepoint, in
the store and in memory. What a unit staged is written at once, so that a row that cannot be written is contained, too.
"""

from __future__ import annotations

from collections import ChainMap
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.store.faults import of_whole
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from retrainer.engine.core.transaction import Transaction

R = TypeVar("R")
T = TypeVar("T")


class Care(Enum):
    """When units of work have savepoints. WHEN_NEEDED repeats a failed transaction, so acts must be repeatable."""

    WHEN_NEEDED = "when_needed"
    ALWAYS = "always"
    NEVER = "never"


def attempt(tx: Transaction, unit: Callable[[], T]) -> T:
    """Execute a unit of work and write what it staged. If it raises, undo all of it and raise the error.

    ``STAGED`` of each object names what a unit changes in it. A shallow copy of a collection is enough: its values are
    never changed.
    """
    staged = [(each, name, _copied(getattr(each, name))) for each in (tx, tx.writes, tx.states) for name in each.STAGED]
    try:
        with tx.conn.begin_nested():
            result = unit()
            tx.flush()
            return result
    except Exception as error:
        if not of_whole(error):
            if tx.arrivals is not None:
                tx.arrivals.clear()
            for each, name, value in staged:
                setattr(each, name, value)
        raise


def contained(tx: Transaction, unit: Callable[[], T], raised: Callable[[Exception], T]) -> T:
    """Return the result of a unit of work. In a careful transaction, undo one that raises and return ``raised(error)``.

    ``raised`` gets the error while it is being handled. Errors that end the whole transaction are always raised.
    """
    if not tx.careful:
        return unit()
    try:
        return attempt(tx, unit)
    except Exception as error:
        if of_whole(error):
            raise
        return raised(error)


def one_by_one(
    tx: Transaction, each: Iterable[R], unit: Callable[[Iterable[R]], None], raised: Callable[[R, Exception], None]
) -> None:
    """Call ``unit`` for all items at once. In a careful transaction, call it for each item with its own savepoint.

    ``raised`` is then called with each item whose ``unit`` raised, and the error.
    """
    if not tx.careful:
        unit(each)
        return
    for one in each:
        contained(tx, partial(unit, (one,)), partial(raised, one))


def settled(tx: Transaction, unit: Callable[[Transaction], T]) -> T:
    """Execute a unit of work, and fold the inputs that it left in `Transaction.after`."""
    result = unit(tx)
    tx.settle()
    return result


@contextmanager
def no_refusals() -> Iterator[None]:
    """Convert LookupError and ValueError to RuntimeError: without a request they are bugs, not refusals."""
    try:
        yield
    except (LookupError, ValueError) as error:
        raise RuntimeError(words(error)) from error


def _copied(value: Any) -> Any:
    if isinstance(value, ChainMap):
        return ChainMap(dict(value.maps[0]), *value.maps[1:])
    if isinstance(value, dict):
        copied = value.copy()  # also of a defaultdict
        if value and isinstance(next(iter(value.values())), list):
            copied.update((name, list(rows)) for name, rows in value.items())
        return copied
    return value.copy() if isinstance(value, (list, set)) else value
