"""Admission reads only the runs that may start, however many wait, with the same result."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from retrainer.rules.admission import AdmissionRequest, BudgetBalance, Capacity, admit
from retrainer.store import run_statements
from retrainer.store import tables as t
from tests.unit.engine.kit import START, Make, data, event, start

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

POOLS = {"gpu": 4, "cpu": 1, "full": 0}
BUDGETS = {"r0": "team", "r1": "team", "r2": "", "r3": "own"}


def fill(bench: DrivenEngine, runs: list[dict[str, Any]]) -> None:
    """Store these runs as waiting, as copies of one that the engine created."""
    bench.deliver([event(1)])
    with bench.store.write() as conn:
        row = dict(conn.execute(select(t.runs)).mappings().one())
        conn.execute(t.runs.delete())
        conn.execute(
            t.runs.insert(),
            [{**row, "id": f"run{n:05}", "workflow": f"w{n}", "uid": None, **run} for n, run in enumerate(runs)],
        )


def some(chance: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        {
            "rule": chance.choice(list(BUDGETS)),
            "pool": chance.choice([*POOLS, "gone", None]),
            "priority": chance.choice([0, 0, 5]),
            "created_at": START + chance.randrange(3),
            "not_before": START + chance.choice([-10, -10, 10]),
            "admitted_at": None,
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_it_admits_what_it_would_if_it_looked_at_all(make: Make, seed: int) -> None:
    chance = random.Random(seed)
    bench = make({"limits": {"pool": "full"}}, pools=POOLS)
    fill(bench, some(chance, chance.choice([3, 30, 120])))
    balances = {
        "team": BudgetBalance(chance.randrange(4), None),
        "own": BudgetBalance(None, float(chance.randrange(4))),
    }
    costs = {rule: (budget, 1.5) for rule, budget in BUDGETS.items()}

    def admitted(rows: list[Any]) -> list[str]:
        waiting = [AdmissionRequest(r.id, r.pool, r.priority, r.created_at, r.not_before, *costs[r.rule]) for r in rows]
        return admit(waiting, Capacity(POOLS, {}, balances), START)

    looked_at = bench.store.read(lambda conn: run_statements.waiting_runs(conn, START, POOLS, 500))
    everything = bench.store.read(lambda conn: list(conn.execute(select(t.runs))))
    assert admitted(looked_at) == admitted(everything)


def test_of_many_that_wait_for_a_pool_as_many_are_looked_at_as_it_has_slots(make: Make) -> None:
    bench = make({"triggers": data(), "limits": {"pool": "gpu", "overlap": "allow_all"}}, pools={"gpu": 2})
    bench.deliver([event(n) for n in range(400)])
    assert len(start(bench)) == 2
    looked_at = bench.store.read(lambda conn: run_statements.waiting_runs(conn, bench.clock.time, {"gpu": 0}, 500))
    assert looked_at == []
    looked_at = bench.store.read(lambda conn: run_statements.waiting_runs(conn, bench.clock.time, {"gpu": 2}, 500))
    assert len(looked_at) == 2


def test_more_than_one_look_takes_are_admitted_one_after_the_other(make: Make) -> None:
    bench = make({"limits": {"pool": "full"}}, pools={"full": 0})
    waiting = {"rule": "rule-0", "pool": None, "not_before": 0.0, "admitted_at": None}
    fill(bench, [waiting] * 1100)
    bench.act(lambda tx: setattr(tx, "pools_changed", True))
    counted = [admitted(bench)]
    while bench.engine.next_wake is not None and bench.engine.next_wake <= bench.clock.time:
        bench.act(lambda _: None)
        counted.append(admitted(bench))
    assert counted == [500, 1000, 1100]


def admitted(bench: DrivenEngine) -> int:
    return int(bench.query("SELECT count(*) FROM runs WHERE admitted_at IS NOT NULL")[0][0])
