"""Counts of events by time and outcome, on a ledger that grows, is pruned, and is too large for one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert

from retrainer.api.event_counts import READ_SECONDS, DensityQuery, EventCounts
from retrainer.store import tables as t
from retrainer.store.density import CELL
from retrainer.store.scope import ALL, Scope
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.store.base import Store

BEGIN = 1_764_000_000 // CELL * CELL
OUTCOMES = ("matched", "filtered", "ignored", "dead_lettered")


class SlowClock:
    """A monotonic clock by which each look takes some time."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def fill(store: Store, numbers: range, apart: float = 10.0) -> None:
    """Store events: every fifth number is of the journal, sources take turns, the outcome follows from the number."""
    rows = [
        {
            "seq": n,
            "at": BEGIN + n * apart,
            "source": f"s{n % 3}",
            "id": str(n),
            "type": "t",
            "time": 0.0,
            "subject": "",
        }
        | {"data": "{}", "attributes": "{}", "outcome": OUTCOMES[n % 4], "rules": "[]"}
        for n in numbers
        if n % 5
    ]
    with store.write() as conn:
        conn.execute(insert(t.events), rows)


def expected(numbers: range, sources: set[int], since: float, until: float, apart: float = 10.0) -> int:
    return sum(1 for n in numbers if n % 5 and n % 3 in sources and since <= BEGIN + n * apart < until)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore.in_memory()
    yield store
    store.close()


def asked(
    counts: EventCounts, since: float, until: float, source: str | None = None, scope: Scope = ALL
) -> dict[str, Any]:
    while not (answer := counts.answer(DensityQuery(since, until, source, scope)))["complete"]:
        pass
    return answer


def number(answer: dict[str, Any]) -> int:
    return sum(answer["total"].values())


@pytest.mark.parametrize("step", [0.0001, 0.02], ids=["quick", "slow"])
@pytest.mark.parametrize(("source", "sources"), [(None, {0, 1, 2}), ("s1", {1})], ids=["all", "one source"])
def test_each_event_of_the_period_is_counted_once(
    store: SqliteStore, step: float, source: str | None, sources: set[int]
) -> None:
    fill(store, range(1, 5000))
    counts = EventCounts(store, SlowClock(step))
    for since, until in [(BEGIN + 30_000, BEGIN + 60_000), (BEGIN, BEGIN + 60_000), (BEGIN + 9000, BEGIN + 9300)]:
        answer = asked(counts, since, until, source)
        assert number(answer) == expected(range(1, 5000), sources, answer["since"], answer["until"])
        assert sum(sum(bucket.get(word, 0) for word in OUTCOMES) for bucket in answer["buckets"]) == number(answer)
        assert all(answer["since"] <= bucket["at"] < answer["until"] for bucket in answer["buckets"])
        assert len(answer["buckets"]) <= 121


def test_new_events_are_counted_and_pruned_ones_are_not(store: SqliteStore) -> None:
    fill(store, range(1, 1000))
    counts = EventCounts(store, SlowClock(0.0001))
    assert number(asked(counts, BEGIN, BEGIN + 20_000)) == expected(range(1, 1000), {0, 1, 2}, 0, 1e12)
    fill(store, range(1000, 2000))
    assert number(asked(counts, BEGIN, BEGIN + 20_000)) == expected(range(1, 2000), {0, 1, 2}, 0, 1e12)
    with store.write() as conn:
        conn.execute(delete(t.events).where(t.events.c.at < BEGIN + 6000))
    assert number(asked(counts, BEGIN, BEGIN + 20_000)) == expected(range(1, 2000), {0, 1, 2}, BEGIN + 6000, 1e12)


def test_a_ledger_that_is_large_is_counted_from_its_newest_event_on(store: SqliteStore) -> None:
    fill(store, range(1, 5000))
    counts = EventCounts(store, SlowClock(0.02))
    query = DensityQuery(BEGIN, BEGIN + 50_000, None, ALL)
    first = counts.answer(query)
    assert not first["complete"]
    assert 0 < number(first) < 4000
    assert first["buckets"][-1]["at"] >= BEGIN + 49_000
    fill(store, range(210_000, 210_500), apart=0.5)
    assert counts.answer(DensityQuery(BEGIN, BEGIN + 200_000, None, ALL))["buckets"][-1]["at"] > BEGIN + 100_000


def test_others_sources_are_not_counted(store: SqliteStore) -> None:
    fill(store, range(1, 1000))
    counts = EventCounts(store, SlowClock(0.0001))
    scope = Scope(frozenset({"n"}), frozenset(), frozenset({"s0"}))
    assert number(asked(counts, BEGIN, BEGIN + 20_000, scope=scope)) == expected(range(1, 1000), {0}, 0, 1e12)
    assert number(asked(counts, BEGIN, BEGIN + 20_000, "s1", scope)) == 0


def test_long_periods_are_counted_by_the_hour(store: SqliteStore) -> None:
    fill(store, range(1, 3000), apart=600.0)
    counts = EventCounts(store, SlowClock(0.0001))
    answer = asked(counts, BEGIN + 100_000, BEGIN + 1_500_000)
    assert answer["seconds"] % 3600 == 0
    wanted = expected(range(1, 3000), {0, 1, 2}, answer["since"], answer["until"], apart=600.0)
    assert number(answer) == wanted
    with store.write() as conn:
        conn.execute(delete(t.events).where(t.events.c.at < BEGIN + 900_000))
    left = expected(range(1, 3000), {0, 1, 2}, BEGIN + 900_000, answer["until"], apart=600.0)
    assert number(asked(counts, BEGIN + 100_000, BEGIN + 1_500_000)) == left


def test_an_empty_ledger_is_complete(store: SqliteStore) -> None:
    assert asked(EventCounts(store, SlowClock(READ_SECONDS)), BEGIN, BEGIN + 1)["buckets"] == []
