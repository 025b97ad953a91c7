"""Polls with many keys, withdrawals and replays by id are split over transactions, and survive a kill in between."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import operator_commands
from retrainer.engine.core.transaction_budget import KEYS
from retrainer.engine.intake.samples import QUERY
from retrainer.engine.schedules import backfills
from retrainer.event import Event
from retrainer.rules.state import decode
from retrainer.sources.base import Batch, Query
from tests.unit.engine.kit import START, SUBMIT, Make, event, state

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

MANY = 2 * KEYS + 100
PSI = Query("psi")
POLLED = {
    "name": "drift",
    "triggers": {"m": {"metric": {"source": "prom", "expr": "psi", "above": 0.5, "jitter": "0s"}}},
    "for_each": {"by": {"m": "event.data.labels.who"}, "max_keys": MANY + 10},
}


PLAIN = {
    "name": "plain",
    "triggers": {"m": {"metric": {"source": "prom", "expr": "lag", "above": 0.5, "clear": 0.2, "jitter": "0s"}}},
    "limits": {"overlap": "allow_all"},
}


def answer(bench: DrivenEngine, value: float, keys: int, expr: str = "psi") -> Batch:
    """An answer of Prometheus with one series for each key."""
    bench.clock.time += 1
    now = bench.clock.time
    series = [{"labels": {"who": f"k{n:05}"}, "value": value, "time": now} for n in range(keys)]
    emitted = {"expr": expr, "sample_time": "", "series": series, "error": ""}
    return Batch("prom", [Event("prom", f"poll-{now}", QUERY, now, emitted)], identity_window=0)


def poll(bench: DrivenEngine, value: float, keys: int = MANY) -> list[str]:
    (outcomes,) = bench.deliver_all([answer(bench, value, keys)])
    return outcomes


def folded(bench: DrivenEngine, value: float) -> int:
    """The number of keys whose state has this value."""
    states = [decode(row[0]) for row in bench.query("SELECT state FROM states WHERE rule = 'drift' AND key != ''")]
    return sum(one.value == value for state in states for one in state.gauges["m"].series.values())


def go_on(bench: DrivenEngine) -> None:
    while bench.engine.next_wake is not None and bench.engine.next_wake <= bench.clock.time:
        bench.act(lambda _: None)


@pytest.mark.parametrize("kill", [False, True], ids=["in one go", "killed in between"])
def test_a_poll_with_many_keys_is_folded_in_over_several_transactions(make: Make, kill: bool) -> None:
    bench = make(POLLED)
    assert poll(bench, 0.25) == ["matched"]
    counted = [0, folded(bench, 0.25)]
    while bench.engine.next_wake is not None and bench.engine.next_wake <= bench.clock.time:
        if kill:
            bench.restart()
        bench.act(lambda _: None)
        counted.append(folded(bench, 0.25))
    assert counted[-1] == MANY
    assert max(after - before for before, after in pairwise(counted)) <= KEYS
    assert bench.query("SELECT count(*) FROM fan_outs") == [(0,)]


def test_a_poll_with_few_keys_is_folded_in_at_once(make: Make) -> None:
    bench = make(POLLED)
    poll(bench, 0.25, KEYS)
    assert folded(bench, 0.25) == KEYS
    assert bench.query("SELECT count(*) FROM fan_outs") == [(0,)]


def test_a_later_poll_does_not_overtake_an_earlier_one(make: Make) -> None:
    bench = make(POLLED)
    poll(bench, 0.9)  # each key fires once
    poll(bench, 0.1, 10)
    assert folded(bench, 0.1) == 0, "it waits for the one before it"
    go_on(bench)
    assert folded(bench, 0.1) == 10
    assert bench.query("SELECT count(DISTINCT key), count(*) FROM runs") == [(MANY, MANY)]


def test_a_rule_without_keys_has_its_value_although_other_rules_took_the_budget(make: Make) -> None:
    """Each rise above the threshold starts a run, so no fall may be missed either."""
    bench = make(POLLED, PLAIN)
    for value in (0.9, 0.1, 0.9):
        bench.deliver_all([answer(bench, value, KEYS), answer(bench, value, 1, "lag")])
        go_on(bench)
    assert bench.query("SELECT count(*) FROM runs WHERE rule = 'plain'") == [(2,)]


def test_what_is_still_being_folded_in_is_not_asked_for_again(make: Make) -> None:
    bench = make(POLLED)
    assert bench.engine.queries("prom") == {PSI}
    poll(bench, 0.25)
    assert bench.engine.queries("prom") == set(), "else polls would pile up in the store"
    go_on(bench)
    assert bench.engine.queries("prom") == {PSI}


def test_a_key_that_has_no_room_any_more_when_its_turn_comes_is_left_out(make: Make) -> None:
    bench = make({**POLLED, "for_each": {**POLLED["for_each"], "max_keys": MANY}})
    poll(bench, 0.25)
    bench.query("SELECT 1")
    with bench.store.write() as conn:
        conn.exec_driver_sql(
            "INSERT INTO states (id, rule, key, revision, version, state, touched_at)"
            " SELECT id + 1000000, rule, 'x' || key, revision, version, state, touched_at FROM states"
            " WHERE rule = 'drift' AND key != '' LIMIT 5"
        )
    bench.restart()
    go_on(bench)
    assert bench.query("SELECT count(*) FROM states WHERE key != ''") == [(MANY,)]


def test_a_value_that_is_replayed_reaches_many_keys_over_several_transactions(make: Make) -> None:
    rule: dict[str, Any] = {
        "name": "drift",
        "triggers": {
            "d": {"data": {"source": "push", "batch": {"at_least": {"events": 1000}}}},
            "m": {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.5, "jitter": "0s"}},
        },
        "for_each": {"by": {"d": "event.data.who"}, "max_keys": 10_000},
    }
    bench = make(rule)
    for first in range(0, MANY, KEYS):
        bench.deliver([event(n, who=f"k{n:05}") for n in range(first, min(first + KEYS, MANY))])
    bench.deliver([Event("push", "m", "t", START, {"metric": "psi", "value": "none", "labels": {}, "who": "k00000"})])
    (letter,) = bench.query("SELECT id, payload FROM dead_letters")
    with bench.store.write() as conn:
        conn.exec_driver_sql("UPDATE dead_letters SET payload = ?", (letter[1].replace(b'"none"', b"0.9"),))
    assert bench.act(lambda tx: operator_commands.replay_dead_letters(tx, [letter[0]]))["replayed"] == 1
    runs = "SELECT count(DISTINCT key) FROM runs"
    assert 0 < bench.query(runs)[0][0] <= KEYS
    bench.restart()
    go_on(bench)
    assert bench.query(runs) == [(MANY,)]


def test_dead_letters_are_replayed_within_the_budget(make: Make) -> None:
    bench = make({"for_each": {"by": {"d": "event.data.who"}}})
    bench.deliver([event(n) for n in range(MANY)])
    bench.edit([{"name": "rule-0", "triggers": {"d": {"data": {"source": "push"}}}, "submit": SUBMIT}])
    ids = [row[0] for row in bench.query("SELECT id FROM dead_letters ORDER BY id")]
    emitted = bench.act(lambda tx: operator_commands.replay_dead_letters(tx, ids))
    assert (emitted["replayed"], len(emitted["left"])) == (KEYS, MANY - KEYS)
    bench.restart()
    emitted = bench.act(lambda tx: operator_commands.replay_dead_letters(tx, ids))
    assert (emitted["replayed"], len(emitted["left"])) == (KEYS, MANY - 2 * KEYS), "who asks again goes on"
    assert bench.act(lambda tx: operator_commands.replay_dead_letters(tx, emitted["left"]))["left"] == []
    assert bench.query("SELECT count(*) FROM dead_letters") == [(0,)]
    assert bench.query("SELECT count(*) FROM inputs") == [(MANY,)]


def test_a_withdrawal_cancels_runs_within_the_budget(make: Make) -> None:
    limits = {"overlap": "allow_all", "max_active": 1000, "pool": "gpu"}
    bench = make({"triggers": {"n": {"schedule": {"cron": "*/15 * * * *"}}}, "limits": limits}, pools={"gpu": 0})
    for day in range(6):
        since, until = (f"2027-01-{10 + day + n:02}T00:00:00Z" for n in (0, 1))
        bench.act(lambda tx, s=since, u=until: backfills.ask(tx, backfills.BackfillOrder("rule-0", "", s, u)))
    waiting = len(bench.query("SELECT id FROM runs WHERE phase = 'PENDING'"))
    assert waiting > KEYS
    emitted = bench.act(lambda tx: backfills.withdraw(tx, "rule-0", ""))
    assert (emitted["cancelled"], emitted["left"]) == (KEYS + 1, waiting - KEYS - 1)
    bench.restart()
    assert bench.act(lambda tx: backfills.withdraw(tx, "rule-0", ""))["left"] == 0
    assert bench.query("SELECT count(*) FROM runs WHERE phase = 'PENDING'") == [(0,)]
    assert state(bench).asked == ()
