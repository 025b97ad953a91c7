"""Pruning, lookup and listing on PostgreSQL use indexes and ranges, as on SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.api import audit
from retrainer.config.settings import Store as StoreSettings
from retrainer.engine.retention.prune import Pruner
from retrainer.event import Poison
from retrainer.sources.base import Batch, object_pages
from retrainer.store.postgres import PostgresStore
from retrainer.store.search import EventQuery
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import DAY, START, SUBMIT, data, event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres.server import Postgres

EVENTS = 200_000
RULES: list[dict[str, Any]] = [
    {
        "name": "each",
        "triggers": data(at_least={"events": 1000}),
        "for_each": {"by": {"d": "event.data.who"}},
        "submit": SUBMIT,
    }
]


@pytest.fixture
def bench(postgres: Postgres, database: str, tmp_path: Path) -> Iterator[DrivenEngine]:
    made = DrivenEngine(tmp_path, RULES, START, build=lambda _: PostgresStore.open(postgres.url(database)))
    yield made
    made.store.close()


def fill(bench: DrivenEngine, first: int, days_ago: float) -> None:
    """Fill the ledger with events that match no rule."""
    with bench.store.write() as conn:
        conn.exec_driver_sql(
            f"INSERT INTO events SELECT {first} + n, {bench.clock.time - days_ago * DAY} + n / 1e6, 'lake', "
            f"'b/k' || n || '  ' || n, 't', 0, 's' || n, '{{}}', '{{}}', 'ignored', '[]' "
            f"FROM generate_series(0, {EVENTS - 1}) AS n"
        )
    bench.restart()  # counts on behind these rows


def prune(bench: DrivenEngine) -> None:
    pruner = Pruner(StoreSettings(), bench.clock.monotonic)
    while bench.act(lambda tx: pruner.prune(tx, 0)):
        pass


def counted(bench: DrivenEngine, table: str) -> int:
    found: int = bench.store.read(lambda conn: conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())
    return found


def test_what_is_past_its_time_goes_and_what_a_window_needs_stays(bench: DrivenEngine) -> None:
    bench.deliver([event(n, who=f"k{n % 700}") for n in range(1400)])
    fill(bench, 10_000, days_ago=0)
    prune(bench)
    assert counted(bench, "events") == EVENTS + 1400
    bench.clock.time += 40 * DAY
    prune(bench)
    assert (counted(bench, "events"), counted(bench, "inputs")) == (1400, 1400)


def test_an_event_is_found_by_what_it_bears(bench: DrivenEngine) -> None:
    fill(bench, 10_000, days_ago=0)
    newest = EVENTS - 1
    for text in (f"b/k{newest}", f"b/k{newest}  {newest}", f"s{newest}", str(10_000 + newest)):
        (found,) = audit.find(bench.store, (), EventQuery(text)).items
        assert found["seq"] == 10_000 + newest
    page = audit.find(bench.store, (), EventQuery("s7"))
    assert page.items == []
    assert page.next == 10_000 + EVENTS - audit.SUBJECTS
    (found,) = audit.find(bench.store, (), EventQuery("s7", until=START + 1e-5)).items
    assert found["seq"] == 10_007


def test_dead_letters_are_bounded_by_bytes(bench: DrivenEngine) -> None:
    bench.engine.transactions.dead_letters_limit = 10_000
    poison = [Poison("push", f"p{n}", b"\xff" * 1000, "unreadable") for n in range(40)]
    bench.deliver_all([Batch("push", poison)])
    assert counted(bench, "dead_letters") == 10


def test_objects_are_told_in_pages(bench: DrivenEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.engine.core.engine.OBJECTS", 2)
    keys = ["a/1", "a/2", "a/é", "a0", "b/\U0001f600"]
    bench.deliver([], objects=dict.fromkeys(keys, "etag"))
    assert [key for page in object_pages(bench.engine, "push") for key in page] == keys
    assert [key for page in object_pages(bench.engine, "push", "b/") for key in page] == ["b/\U0001f600"]
    assert bench.engine.objects_told("push", ["a0"]) == {"a0": ("etag", START)}
