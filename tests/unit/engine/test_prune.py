"""The cost of retention, and what it counts."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Self

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, insert, select

from retrainer.config.settings import Store
from retrainer.engine.commands.activity import row_of
from retrainer.engine.core.notifications import ActRecorded
from retrainer.engine.retention import protected, prune
from retrainer.engine.retention.prune import BUDGET, Pruner
from retrainer.event import Poison
from retrainer.rules.state import decode
from retrainer.sources.base import Batch
from retrainer.store import statements
from retrainer.store import tables as t
from tests.unit.engine.kit import DAY, START, data, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.houses.engine import DrivenEngine
    from tests.unit.engine.kit import Make

KEYED = {"triggers": data(at_least={"events": 1000}), "for_each": {"by": {"d": "event.data.who"}}}


def no_time() -> float:
    """A clock on which no work takes time."""
    return 0.0


def ledger(bench: DrivenEngine, events: int, at: float) -> None:
    """Old rows in every table that grows."""
    first = 1_000_000
    with bench.store.write() as conn:
        for n in range(first, first + events):
            moment = at + n / 1e6
            envelope = {"source": "push", "id": f"old{n}", "type": "t", "time": at, "subject": "", "data": "{}"}
            row = {"seq": n, "at": moment, "attributes": "{}", "outcome": "ignored", "rules": "[]"}
            conn.execute(insert(t.events).values(envelope | row))
            journal = {"seq": first + events + n, "at": moment, "rule": "r", "key": "", "kind": "Wake"}
            conn.execute(insert(t.journal).values(**journal, payload="{}"))
            slot = {"rule": "r", "key": "", "trigger": "t", "slot": n, "until": n, "count": 1, "outcome": "fired"}
            conn.execute(insert(t.slots).values(**slot, reason="schedule", at=moment))
    bench.restart()  # counts on behind these rows


class Cost:
    """Statements, and steps of SQLite's virtual machine in hundreds."""

    def __init__(self, bench: DrivenEngine) -> None:
        self.statements: list[str] = []
        self.steps = 0
        self._bench = bench

    def __enter__(self) -> Self:
        def count_statement(*args: Any) -> None:
            self.statements.append(args[2])

        def step() -> int:
            self.steps += 1
            return 0

        sqlalchemy_event.listen(self._bench.store._engine, "before_cursor_execute", count_statement)
        self._bench.store._driver.set_progress_handler(step, 100)
        return self

    def __exit__(self, *_: object) -> None:
        self._bench.store._driver.set_progress_handler(None, 0)


def pruned(bench: DrivenEngine, pruner: Pruner, size: int = 0) -> Iterator[bool]:
    while bench.act(lambda tx: pruner.prune(tx, size)):
        yield True


def test_with_nothing_to_do_it_costs_the_same_however_long_the_ledger(make: Make) -> None:
    bench = make({})
    pruner = Pruner(Store(), no_time)
    costs = []
    for _ in range(2):
        if costs:
            ledger(bench, 3000, bench.clock.time - DAY)
        with Cost(bench) as cost:
            assert list(pruned(bench, pruner)) == []
        costs.append(cost)
    short, long = costs
    assert len(long.statements) <= len(short.statements)
    assert long.steps <= short.steps + 150, "one chunk of the ledger is looked at, and nothing else is scanned"


def test_a_chunk_asks_for_the_states_of_its_own_events_alone(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(protected, "decode", lambda text: decoded.append(text) or decode(text))
    bench = make(KEYED)
    bench.deliver([event(n, who=f"old{n}") for n in range(3)])
    bench.clock.time += 20 * DAY
    bench.deliver([event(100 + n, who=f"young{n}") for n in range(1200)])
    bench.clock.time += 15 * DAY
    with Cost(bench) as cost:
        list(pruned(bench, Pruner(Store(), no_time)))
    assert len(decoded) == 3
    assert len(cost.statements) < 60
    assert bench.query("SELECT count(*) FROM events") == [(1203,)], "each is pending in the window of its key"


def test_what_is_needed_is_not_looked_at_again_and_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.engine.retention.prune.CHUNK", 10)
    bench = make(KEYED)
    bench.deliver([event(n, who="a") for n in range(50)])
    bench.clock.time += 40 * DAY
    pruner = Pruner(Store(), no_time)
    list(pruned(bench, pruner))
    with Cost(bench) as cost:
        list(pruned(bench, pruner))
    assert not [said for said in cost.statements if "states.state" in said]
    bench.clock.time += 3600
    with Cost(bench) as cost:
        list(pruned(bench, pruner))
    assert [said for said in cost.statements if "states.state" in said], "once in a while they are"
    assert bench.query("SELECT count(*) FROM events") == [(50,)]


def test_a_transaction_ends_when_its_time_is_up_and_the_next_goes_on_there(make: Make) -> None:
    bench = make({})
    ledger(bench, 30, START - 90 * DAY)
    ticks = count()
    pruner = Pruner(Store(), lambda: next(ticks) * BUDGET)
    rounds = 0
    while rounds < 60 and bench.query("SELECT count(*) FROM events") != [(0,)]:
        before = [bench.query(f"SELECT count(*) FROM {name}")[0][0] for name in ("events", "journal", "slots")]
        assert bench.act(lambda tx: pruner.prune(tx, 0)), "there is more"
        after = [bench.query(f"SELECT count(*) FROM {name}")[0][0] for name in ("events", "journal", "slots")]
        assert sum(a != b for a, b in zip(before, after, strict=True)) <= 1, "one kind a transaction"
        rounds += 1
    assert bench.query("SELECT count(*) FROM events") == [(0,)], "each kind has had its turn"


def test_a_store_that_is_too_large_gives_of_its_journal_too(make: Make) -> None:
    bench = make({})
    ledger(bench, 30, START)
    pruner = Pruner(Store(), no_time)
    bench.act(lambda tx: pruner.prune(tx, 1 << 60))
    assert bench.query("SELECT count(*) FROM journal WHERE kind = 'Wake' AND rule = 'r'") == [(0,)]
    assert bench.query("SELECT count(*) FROM events") == [(0,)]


@pytest.mark.parametrize("together", [1, 7, 40])
def test_dead_letters_are_bounded_by_bytes_at_once(make: Make, together: int) -> None:
    bench = make({})
    bench.engine.transactions.dead_letters_limit = 10_000
    poison = [Poison("push", f"p{n}", b"\xff" * 1000, "unreadable") for n in range(40)]
    for at in range(0, 40, together):
        bench.deliver_all([Batch("push", poison[at : at + together])])
    assert [row[0] for row in bench.query("SELECT event FROM dead_letters ORDER BY id")] == [
        f"p{n}" for n in range(30, 40)
    ]


def test_dead_letters_are_bounded_by_number(make: Make) -> None:
    bench = make({})
    bench.deliver_all([Batch("push", [Poison("push", f"p{n}", b"x", "unreadable") for n in range(9)])])
    pruner = Pruner(Store(max_dead_letters=4), no_time)
    list(pruned(bench, pruner))
    assert [row[0] for row in bench.query("SELECT event FROM dead_letters ORDER BY id")] == ["p5", "p6", "p7", "p8"]


def test_activity_is_bounded_by_age_and_number(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "MOST_ACTIVITY", 3)
    bench = make()
    ages = [40 * DAY, 5.0, 4.0, 3.0, 2.0, 1.0]
    with bench.store.write() as conn:
        rows = [row_of(ActRecorded("pause", f"by-{age:g}"), bench.clock.now() - age) for age in ages]
        statements.put_all(conn, t.activity, rows)
    pruner = Pruner(Store(), no_time)
    while bench.engine.act(lambda tx: pruner.prune(tx, 0)).result():
        pass
    left = bench.store.read(
        lambda conn: conn.execute(select(t.activity.c.by).order_by(t.activity.c.id)).scalars().all()
    )
    assert left == ["by-3", "by-2", "by-1"]


def test_what_is_used_is_less_than_the_file_once_rows_are_gone(make: Make) -> None:
    bench = make({})
    ledger(bench, 3000, START - 90 * DAY)
    before = bench.store.used()
    list(pruned(bench, Pruner(Store(), no_time)))
    assert bench.store.read(lambda conn: conn.execute(select(func.count()).select_from(t.events)).scalar()) == 0
    assert bench.store.used() < before / 2
