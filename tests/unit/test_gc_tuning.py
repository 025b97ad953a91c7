"""Long-lived objects are excluded from garbage collection, and replaced ones are freed."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.util import gc_tuning

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Restore the collector at the end."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Circle:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.me: Any = self


def test_what_is_there_is_out_of_the_collectors_sight() -> None:
    rules = [Circle() for _ in range(1000)]
    gc_tuning.settle()
    assert not any(isinstance(each, Circle) for each in gc.get_objects())
    assert len(rules) == 1000


def test_what_a_reload_replaces_is_freed() -> None:
    rule = Circle()
    known = weakref.ref(rule)
    gc_tuning.settle()
    del rule
    assert known() is not None
    gc_tuning.settle()
    assert known() is None
