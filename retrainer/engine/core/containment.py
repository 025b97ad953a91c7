"""What one unit of work raises must not stop the others.

A transaction is first folded plainly, which costs nothing. If anything in it raises, all of it is rolled back and
folded once more with care: each unit (an event, an act, a wake-up, an observation) then has a savepoint of its own,
in the store and in memory. What it staged is written at once, so that a row that cannot be written is contained, too.
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
    """When units of work have savepoints: where acts cannot be done twice it must be known before."""

    WHEN_NEEDED = "when_needed"
    ALWAYS = "always"
    NEVER = "never"


_STAGED = (
    "counters",
    "created",
    "emitted",
    "rows",
    "events",
    "inputs",
    "arrived",
    "seen_at",
    "admitted",
    "changed",
    "forgotten",
    "pools_changed",
    "stops",
    "polled",
    "after",
    "catalog",
    "fans_out",
    "unseen",
    "_written",
    "_decisions",
    "_fresh_keys",
)
"""All that a unit changes in a `Work`; of collections a shallow copy is enough, as their values are never changed."""


def attempt(tx: Transaction, unit: Callable[[], T]) -> T:
    """Do a unit of work and write what it staged. What it raises is raised, and nothing of it is left behind."""
    before = {name: _copied(getattr(tx, name)) for name in _STAGED}
    try:
        with tx.conn.begin_nested():
            result = unit()
            tx.flush()
            return result
    except Exception as error:
        if not of_whole(error):
            tx.arrivals.clear()
            for name, value in before.items():
                setattr(tx, name, value)
        raise


def one_by_one(
    tx: Transaction, each: Iterable[R], unit: Callable[[Iterable[R]], None], raised: Callable[[R, Exception], None]
) -> None:
    """What several rules make of the same thing: all at once, or with care, so that one of them can be left out.

    ``raised`` is told of whose ``unit`` raised what.
    """
    if not tx.careful:
        unit(each)
        return
    for one in each:
        try:
            attempt(tx, partial(unit, (one,)))
        except Exception as error:
            if of_whole(error):
                raise
            raised(one, error)


def settled(tx: Transaction, unit: Callable[[Transaction], T]) -> T:
    """Do a unit of work, and fold in what it left to be folded."""
    result = unit(tx)
    tx.settle()
    return result


@contextmanager
def no_refusals() -> Iterator[None]:
    """Around what nobody asked for: there is nobody to refuse, so that a ValueError is a mistake like any other."""
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
