"""The objects that a listing source stored are returned in pages, with the time of their last report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.sources.base import Batch, object_pages
from tests.unit.engine.kit import START

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine
    from tests.unit.engine.kit import Make

KEYS = ["a/1", "a/2", "a/é", "a0", "b/1", "b/2", "b/\U0001f600"]


@pytest.fixture
def bench(make: Make, monkeypatch: pytest.MonkeyPatch) -> DrivenEngine:
    monkeypatch.setattr("retrainer.engine.core.engine.OBJECTS", 2)
    made: DrivenEngine = make({})
    made.deliver([], objects={key: f"etag of {key}" for key in reversed(KEYS)})
    made.clock.time += 10
    made.deliver([], objects={"a/2": "another"})
    made.deliver_all([Batch("elsewhere", [], objects={"a/1": "x"})])
    return made


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        pytest.param("", KEYS, id="all of them"),
        pytest.param("a/", ["a/1", "a/2", "a/é"], id="those below a place"),
        pytest.param("b/", ["b/1", "b/2", "b/\U0001f600"], id="also beyond the first plane"),
        pytest.param("a/1", ["a/1"], id="an object that is named like the place"),
        pytest.param("c", [], id="none"),
    ],
)
def test_pages_are_short_in_order_and_complete(bench: DrivenEngine, prefix: str, found: list[str]) -> None:
    pages = list(object_pages(bench.engine, "push", prefix))
    assert all(len(page) <= 2 for page in pages)
    assert [key for page in pages for key in page] == found


def test_of_each_it_is_known_when_somebody_told_of_it(bench: DrivenEngine) -> None:
    assert bench.engine.objects_told("push", ["a/1", "a/2", "gone"]) == {
        "a/1": ("etag of a/1", START),
        "a/2": ("another", START + 10),
    }
