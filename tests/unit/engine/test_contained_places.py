"""Containment in less obvious places: data shared by many keys, unsolicited inputs, and failed commits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from retrainer.engine.commands import operator_commands
from retrainer.engine.core import budget_balances
from retrainer.engine.intake import events
from retrainer.engine.replication import inbox
from retrainer.engine.runs import transitions
from retrainer.event import Event
from retrainer.rules import decide, fold
from retrainer.rules.outcome import Arrived, Sampled
from retrainer.sources.base import Batch
from retrainer.store.base import CommitUnknownError, StoreError
from tests.unit.engine.kit import START, Make, data, end, event, observed, start, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from tests.houses.engine import DrivenEngine

DRIFT = {"drift": {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.5, "jitter": "0s"}}}
LARGE = data({"a": 1}, at_least={"events": 100_000})
KEYED = {"name": "bad", "triggers": {**LARGE, **DRIFT}, "for_each": {"by": {"d": "event.data.k"}, "max_keys": 9999}}
GOOD = {"name": "good", "triggers": data({"kind": "good"})}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def psi(number: int, value: float = 0.1, at: float = START) -> Event:
    return Event("push", f"m{number}", "t", at, {"metric": "psi", "value": value, "labels": {}})


def keys(bench: DrivenEngine, many: int) -> None:
    bench.deliver([event(n, a=1, k=f"k{n:04}") for n in range(many)])


def on(monkeypatch: pytest.MonkeyPatch, kind: type, raises: Callable[[Any, Any], bool]) -> None:
    """Make folding of an input of this kind raise where ``raises`` is true for the rule and the input."""
    folded = fold._FOLDS[kind]

    def folding(rule: Any, known: Any, given: Any, now: float) -> Any:
        if raises(rule, given):
            raise KeyError("boom")
        return folded(rule, known, given, now)

    monkeypatch.setitem(fold._FOLDS, kind, folding)  # type: ignore[arg-type]


@pytest.mark.parametrize("many", [100, 700], ids=["at once", "over several transactions"])
def test_a_value_that_one_of_many_keys_does_not_bear_reaches_the_others(
    make: Make, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    bench = make(KEYED, GOOD)
    keys(bench, many)
    seen = iter(range(10**6))
    on(monkeypatch, Sampled, lambda _rule, _given: next(seen) == many - 10)
    bench.deliver([psi(1, 0.9)])
    for number in range(5):
        assert bench.deliver([event(9000 + number, kind="good")]) == ["matched"]
    assert bench.query("SELECT count(*) FROM fan_outs")[0][0] == 0
    assert bench.query("SELECT count(DISTINCT key) FROM runs WHERE rule = 'bad'")[0][0] >= many - 1


def test_a_value_that_one_rule_does_not_bear_counts_for_the_others(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make({"name": "bad", "triggers": DRIFT}, {"name": "good", "triggers": DRIFT})
    on(monkeypatch, Sampled, lambda rule, _given: rule.name == "bad")
    assert bench.deliver([psi(1, 0.9)]) == ["matched"]
    assert [row[0] for row in bench.query("SELECT rule FROM runs")] == ["good"]
    assert [tuple(row) for row in bench.query("SELECT reason, rule FROM dead_letters")] == [("raised", "bad")]
    assert bench.query("SELECT rules FROM events")[0][0] == '[["good",""]]'


def test_later_values_do_not_overtake_those_on_their_way_to_many_keys(make: Make) -> None:
    bench = make(KEYED)
    keys(bench, 700)
    bench.deliver([psi(1, 0.9)])
    bench.deliver([psi(2, 0.1)])
    while bench.engine.next_wake is not None and bench.engine.next_wake <= bench.clock.time:
        bench.act(lambda _: None)
    states = [state(bench, "bad", f"k{n:04}") for n in range(0, 700, 50)]
    assert {series.value for one in states for series in one.gauges["drift"].series.values()} == {0.1}


def test_an_observation_that_fails_by_a_lookup_does_not_hold_up_the_others(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make({"name": "bad", "triggers": data()}, {"name": "good", "triggers": data()})
    bench.deliver([event(1)])
    runs = sorted(start(bench), key=lambda run: run.rule)
    facts = transitions._facts

    def failing(run: Any, *rest: Any) -> Any:
        if run.rule == "bad":
            raise KeyError("parameter")
        return facts(run, *rest)

    monkeypatch.setattr(transitions, "_facts", failing)
    bench.gateway.observed([observed(run, "Succeeded") for run in runs])
    ends = dict(bench.query("SELECT rule, phase FROM runs"))
    assert ends == {"bad": "SUCCEEDED", "good": "SUCCEEDED"}


def test_what_another_replica_took_in_and_nobody_bears_does_not_block_what_is_behind_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make({"name": "good", "triggers": data()})
    with bench.store.write() as conn:
        inbox.put(conn, Batch("push", [event(1, poison=1)]))
        inbox.put(conn, Batch("push", [event(2)]))
    match = events.match

    def failing(tx: Any, item: Event, *rest: Any) -> Any:
        if "poison" in item.data:
            raise KeyError("boom")
        return match(tx, item, *rest)

    monkeypatch.setattr(events, "match", failing)
    assert bench.act(inbox.fold_in) is False
    assert bench.query("SELECT count(*) FROM inbox")[0][0] == 0
    assert [row[0] for row in bench.query("SELECT event FROM dead_letters")] == ["e1"]
    assert state(bench, "good").window.events + len(bench.query("SELECT id FROM runs")) == 1


def test_a_value_that_distinct_by_noted_counts_when_its_dead_letter_is_replayed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make({"name": "good", "triggers": data(at_least={"events": 10}, distinct_by="event.data.k")})
    with monkeypatch.context() as broken:
        on(broken, Arrived, lambda _rule, given: given.label == "P")
        assert bench.deliver([event(1, k="a", key="P")]) == ["dead_lettered"]
    assert bench.query("SELECT * FROM distincts") == []
    assert bench.act(lambda tx: operator_commands.replay_dead_letters(tx, [1]))["replayed"] == 1
    assert state(bench, "good").window.events == 1


def test_an_answer_that_was_lost_is_never_given_to_somebody_else(make: Make) -> None:
    bench = make({"name": "good", "triggers": data({"kind": "a"})})
    write, settled = bench.store.write, iter([StoreError("XX001"), True])

    @contextmanager
    def lost(just_before: Callable[[], None]) -> Iterator[Connection]:
        bench.store.write = write  # type: ignore[method-assign]
        with write(just_before) as conn:
            yield conn
        raise CommitUnknownError("lost")

    def settle() -> bool:
        answer = next(settled)
        if isinstance(answer, Exception):
            raise answer
        return answer

    bench.store.write = lost  # type: ignore[method-assign]
    bench.store.settle = settle  # type: ignore[method-assign]
    (first,) = bench.offer_all([Batch("push", [event(1)])])
    assert isinstance(first.exception(), StoreError)
    (second,) = bench.offer_all([Batch("push", [event(2), event(3, kind="a"), event(4)])])
    assert second.result().outcomes == ["filtered", "matched", "filtered"]
    assert [row[0] for row in bench.query("SELECT id FROM events ORDER BY seq")] == ["e1", "e2", "e3", "e4"]


def test_runs_whose_cost_cannot_be_found_out_wait_and_hold_up_nobody(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"limits": {"pool": "gpu"}}
    rules = [{"name": name, "triggers": data(), **limits} for name in ("bad", "good")]
    bench = make(*rules, pools={"gpu": 5})
    cost_of = budget_balances.cost_of

    def failing(conn: Any, catalog: Any, rule: str) -> Any:
        if rule == "bad":
            raise KeyError("boom")
        return cost_of(conn, catalog, rule)

    monkeypatch.setattr(budget_balances, "cost_of", failing)
    assert bench.deliver([event(1)]) == ["matched"]
    assert [run.rule for run in start(bench)] == ["good"]
    monkeypatch.undo()
    bench.tick(60)
    assert [run.rule for run in end(bench)] == ["bad"]


def sharing(make: Make) -> DrivenEngine:
    """Rules `bad` and `good` that share a budget. Each has an active run and a waiting one."""
    limits = {"limits": {"budget": "team", "overlap": "allow_all"}}
    bench = make(*({"name": name, "triggers": data(), **limits} for name in ("bad", "good")))
    bench.budgets({"team": {"gpu_hours": 10, "reserve": 2, "per": "1d"}})
    bench.deliver([event(1)])
    assert len(start(bench)) == 2
    return bench


def test_a_rule_whose_reserve_cannot_be_found_out_does_not_hold_up_those_it_shares_a_budget_with(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = sharing(make)
    reserve_of = budget_balances.reserve_of

    def failing(conn: Any, rule: Any, budget: Any) -> float:
        if rule.name == "bad":
            raise KeyError("boom")
        return reserve_of(conn, rule, budget)

    monkeypatch.setattr(budget_balances, "reserve_of", failing)
    for number in (2, 3, 4):
        bench.deliver([event(number)])
        assert [run.rule for run in start(bench)] == ["good"]
    bench.deliver([event(5)])
    assert start(bench) == [], "the other one's run counts as much as one of its own: five times 2 of 10 hours"


def test_a_budget_that_cannot_be_found_out_holds_up_its_own_runs_alone(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"name": name, "triggers": data(), "limits": {"budget": name}} for name in ("bad", "good")]
    bench = make(*rules)
    spent = budget_balances._spent_rows

    def failing(conn: Any, names: Any, *more: Any, **rest: Any) -> Any:
        if "bad" in names:
            raise KeyError("boom")
        return spent(conn, names, *more, **rest)

    bench.budgets({name: {"runs": 5, "per": "1d"} for name in ("bad", "good")})
    monkeypatch.setattr(budget_balances, "_spent_rows", failing)
    bench.deliver([event(1)])
    assert [run.rule for run in start(bench)] == ["good"]
    monkeypatch.undo()
    bench.tick(60)
    assert [run.rule for run in start(bench)] == ["bad"]


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({**data(at_least={"events": 2}), **DRIFT}, id="that drops nothing"),
        pytest.param(
            {**data(at_least={"events": 3}), "drift": {"metric": {**DRIFT["drift"]["metric"], "above": 0.7}}},
            id="of another trigger",
        ),
        pytest.param(
            {**data(at_least={"events": 3}), "drift": {"metric": {"source": "push", "above": 0.5}}},
            id="that drops what another trigger held",
        ),
    ],
)
def test_any_edit_ends_a_quarantine(make: Make, monkeypatch: pytest.MonkeyPatch, edited: dict[str, Any]) -> None:
    bench = make({"name": "r", "triggers": {**data(at_least={"events": 3}), **DRIFT}})
    bench.deliver([event(1), event(2)])
    with monkeypatch.context() as broken:

        def failing(*_: Any) -> Any:
            raise KeyError("boom")

        broken.setattr(decide, "evaluate", failing)
        bench.deliver([event(3)])
    assert state(bench, "r").quarantine is not None
    assert state(bench, "r").window.events == 3, "nothing is lost meanwhile"
    bench.edit([{"name": "r", "triggers": edited, "submit": {"workflow_template": "train"}}])
    bench.tick(60)
    assert state(bench, "r").quarantine is None
    assert bench.query("SELECT count(*) FROM runs")[0][0] == 1


def test_a_flood_of_events_that_take_long_does_not_starve_schedules(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make({**KEYED, "triggers": {**LARGE, "n": {"schedule": {"cron": "0 * * * *", "jitter": "0s"}}}}, GOOD)
    keys(bench, 60)
    elapsed = [0.0]
    monkeypatch.setattr(bench.clock, "monotonic", lambda: elapsed[0])
    match = events.match

    def slow(*given: Any) -> Any:
        elapsed[0] += 0.5
        return match(*given)

    monkeypatch.setattr(events, "match", slow)
    bench.clock.time = START + 3600
    for number in range(4):
        bench.deliver([event(9000 + number)])
    assert bench.query("SELECT count(*) FROM runs WHERE rule = 'bad'")[0][0] == 60


@pytest.mark.parametrize(
    "emitted",
    [
        pytest.param('{"kind":"Sampled","trigger":"drift","samples":[],"whole":true,"later":1}', id="a field"),
        pytest.param('{"kind":"Later","a":1}', id="a kind"),
    ],
)
def test_what_a_later_release_left_for_all_keys_stops_nobody(make: Make, emitted: str) -> None:
    bench = make(KEYED, GOOD)
    keys(bench, 3)
    with bench.store.write() as conn:
        conn.exec_driver_sql("INSERT INTO fan_outs VALUES ('bad', 'drift', 1, '', ?)", (emitted,))
    bench.restart()
    assert bench.deliver([event(9000, kind="good")]) == ["matched"]
    bench.clock.time += 1
    bench.act(lambda _: None)
    assert bench.query("SELECT count(*) FROM fan_outs")[0][0] == 0
