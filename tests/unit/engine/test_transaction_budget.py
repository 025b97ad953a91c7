"""A transaction does a bounded part of the work that is due, and the next ones do the rest."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import operator_commands
from retrainer.engine.core.transaction_budget import KEYS
from retrainer.event import Event
from tests.unit.engine.kit import START, SUBMIT, Make, data, end, event, state

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

MANY = KEYS * 2 + 100
PER_KEY = {"by": {"d": "event.data.who"}, "max_keys": 10_000}


def keyed(**more: Any) -> dict[str, Any]:
    """A rule with a key for each customer, which data alone never starts."""
    rule = {"name": "keyed", "triggers": {**data(at_least={"events": 1000}), **more.pop("triggers", {})}}
    return {**rule, "for_each": PER_KEY, **more}


def arrive(bench: DrivenEngine) -> None:
    for first in range(0, MANY, KEYS):
        bench.deliver([event(n, who=f"k{n:05}") for n in range(first, min(first + KEYS, MANY))])


def fired(bench: DrivenEngine) -> int:
    return bench.query("SELECT count(DISTINCT key) FROM runs WHERE rule = 'keyed'")[0][0]


def restart_between(bench: DrivenEngine) -> None:
    """Run transaction by transaction. The daemon is killed before the second one."""
    bench.restart()
    while bench.engine.next_wake is not None and bench.engine.next_wake <= bench.clock.time:
        before = fired(bench)
        bench.act(lambda _: None)
        assert fired(bench) - before <= KEYS


@pytest.mark.parametrize("kill", [False, True], ids=["in one go", "killed in between"])
def test_a_slot_is_spoken_to_each_key_once(make: Make, kill: bool) -> None:
    bench = make(keyed(triggers={"n": {"schedule": {"cron": "0 * * * *"}}}))
    arrive(bench)
    bench.clock.time = START + 3600
    bench.act(lambda _: None)
    assert 0 < fired(bench) <= KEYS
    if kill:
        bench.restart()
    restart_between(bench)
    assert fired(bench) == MANY
    assert bench.query("SELECT count(*) FROM runs")[0][0] == MANY


def test_many_slots_of_many_rules_share_one_budget(make: Make) -> None:
    rules = [
        {**keyed(triggers={"n": {"schedule": {"cron": "0 * * * *", "jitter": "0s"}}}), "name": f"r{n}"}
        for n in range(8)
    ]
    bench = make(*rules)
    bench.deliver([event(n, who=f"k{n:05}") for n in range(100)])
    bench.clock.time = START + 3600
    counted = [0]
    while bench.engine.next_wake is not None and bench.engine.next_wake <= bench.clock.time:
        bench.act(lambda _: None)
        counted.append(bench.query("SELECT count(*) FROM runs")[0][0])
    assert counted[-1] == 800
    assert max(after - before for before, after in pairwise(counted)) <= KEYS


def test_a_value_without_a_key_reaches_every_key(make: Make) -> None:
    metric = {"drift": {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.5, "jitter": "0s"}}}
    bench = make(keyed(triggers=metric))
    arrive(bench)
    bench.deliver([Event("push", "m", "t", START, {"metric": "psi", "value": 0.9, "labels": {}})])
    assert 0 < fired(bench) <= KEYS
    restart_between(bench)
    assert fired(bench) == MANY


def test_the_end_of_a_run_without_a_key_reaches_every_key(make: Make) -> None:
    bench = make(
        keyed(triggers={"up": {"after": {"rule": "first"}}}),
        {"name": "first", "triggers": data({"kind": "first"})},
    )
    arrive(bench)
    bench.deliver([event(99_999, kind="first")])
    end(bench)
    assert fired(bench) <= KEYS
    restart_between(bench)
    assert fired(bench) == MANY


def test_resuming_a_rule_resumes_all_its_keys(make: Make) -> None:
    bench = make(keyed(limits={"pause_after_failures": 1}, submit=SUBMIT))
    arrive(bench)
    with bench.store.write() as conn:
        conn.exec_driver_sql("UPDATE states SET state = json_set(state, '$.broken', json('true')) WHERE key != ''")
    bench.restart()
    bench.act(lambda tx: operator_commands.resume(tx, "keyed"))
    restart_between(bench)
    left = bench.query("SELECT count(*) FROM states WHERE json_extract(state, '$.broken')")
    assert left[0][0] == 0
    assert not state(bench, "keyed", "k00000").broken


def test_wake_ups_that_are_due_together_are_shared_out(make: Make) -> None:
    bench = make(keyed(triggers={**data(batch={"max_wait": "1h"})}))
    arrive(bench)
    bench.clock.time = START + 3600
    bench.act(lambda _: None)
    assert 0 < fired(bench) <= KEYS
    restart_between(bench)
    assert fired(bench) == MANY
