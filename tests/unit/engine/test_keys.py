"""`for_each`: at most `max_keys` keys. Keys without activity for `forget_after` are removed to make room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.settings import Store
from retrainer.engine.retention.prune import Pruner
from retrainer.store import statements
from tests.unit.engine.kit import DAY, Make, data, end, event, start, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.event import Event
    from tests.houses.engine import DrivenEngine


def keyed(at_least: int = 99, max_keys: int = 2, **more: Any) -> dict[str, Any]:
    for_each = {"by": {"d": "event.data.who"}, "max_keys": max_keys, "forget_after": "10d"}
    return {"triggers": data(at_least={"events": at_least}), "for_each": for_each, **more}


def forget(bench: DrivenEngine) -> None:
    """Run the daemon's task of every minute."""
    pruner = Pruner(Store(), lambda: 0.0)
    while bench.act(lambda tx: pruner.prune(tx, 0)):
        pass


def keys(bench: DrivenEngine) -> list[str]:
    known = [row[0] for row in bench.query("SELECT key FROM states WHERE key != '' ORDER BY key")]
    assert bench.store.read(lambda conn: bench.engine.keys(conn, "rule-0")) == len(known)
    return known


class Events:
    def __init__(self) -> None:
        self.number = 0

    def __call__(self, *who: str) -> list[Event]:
        self.number += len(who)
        return [event(self.number - len(who) + i, who=name) for i, name in enumerate(who)]


@pytest.mark.parametrize("cut", [1, 4])
def test_the_event_of_one_key_too_many_is_a_dead_letter_with_that_reason(make: Make, cut: int) -> None:
    bench, came = make(keyed()), Events()
    events = came("a", "b", "c", "a")
    outcomes = [word for i in range(0, 4, cut) for word in bench.deliver(events[i : i + cut])]
    assert outcomes == ["matched", "matched", "dead_lettered", "matched"]
    letters = bench.query("SELECT event, reason, rule, error FROM dead_letters")
    assert letters == [("e2", "too_many_keys", "rule-0", "key 'c' would exceed max_keys")]
    assert keys(bench) == ["a", "b"]


def test_an_event_with_a_key_for_each_of_two_triggers_does_not_slip_past_max_keys(make: Make) -> None:
    triggers = {"d": data()["d"], "e": data()["d"]}
    by = {"d": "event.data.who", "e": "event.data.whom"}
    bench = make({"triggers": triggers, "for_each": {"by": by, "max_keys": 1}})
    assert bench.deliver([event(1, who="a", whom="b")]) == ["matched"]
    assert keys(bench) == ["a"]
    assert bench.query("SELECT reason FROM dead_letters") == [("too_many_keys",)]


def test_a_key_of_another_rule_takes_no_room(make: Make) -> None:
    bench, came = make(keyed(max_keys=1), keyed(max_keys=3)), Events()
    assert bench.deliver(came("a", "b", "c")) == ["matched"] * 3
    assert bench.query("SELECT rule, count(*) FROM states GROUP BY rule ORDER BY rule") == [
        ("rule-0", 1),
        ("rule-1", 3),
    ]
    assert bench.query("SELECT DISTINCT rule FROM dead_letters") == [("rule-0",)]


STAYING: list[Any] = [
    pytest.param(lambda bench: None, 99, 20 * DAY, id="data is pending"),
    pytest.param(start, 1, 20 * DAY, id="a run is on its way"),
    pytest.param(lambda bench: end(bench, "Failed"), 1, 20 * DAY, id="a run gave its data back"),
    pytest.param(end, 1, 9 * DAY, id="not long enough ago"),
]


@pytest.mark.parametrize(("then", "at_least", "idle"), STAYING)
def test_a_key_stays(make: Make, then: Callable[[DrivenEngine], Any], at_least: int, idle: float) -> None:
    bench, came = make(keyed(at_least)), Events()
    bench.deliver(came("a"))
    then(bench)
    before = state(bench, key="a")
    bench.clock.time += idle
    forget(bench)
    bench.restart()
    assert keys(bench) == ["a"]
    assert state(bench, key="a") == before


@pytest.mark.parametrize("restart", [pytest.param(False, id=""), pytest.param(True, id="restarted")])
def test_an_idle_key_is_forgotten_makes_room_and_comes_back_fresh(make: Make, restart: bool) -> None:
    bench, came = make(keyed(1, limits={"pause_after_failures": 5})), Events()
    bench.deliver(came("a", "b"))
    end(bench)
    bench.clock.time += 6 * DAY
    bench.deliver(came("b"))
    end(bench)
    bench.clock.time += 6 * DAY
    forget(bench)
    if restart:
        bench.restart()
    assert keys(bench) == ["b"]
    assert bench.deliver(came("c", "a")) == ["matched", "dead_lettered"]
    end(bench)
    bench.clock.time += 11 * DAY
    forget(bench)
    assert keys(bench) == []
    assert bench.deliver(came("a")) == ["matched"]
    fresh = state(bench, key="a")
    assert (fresh.seen_at, fresh.window.events, fresh.active) == (bench.clock.time, 0, 1)


def test_many_keys_are_forgotten_page_by_page(make: Make) -> None:
    bench, came = make(keyed(1, max_keys=2000)), Events()
    bench.deliver(came(*(f"k{n:04}" for n in range(1200))))
    for _ in range(12):
        end(bench)
    bench.clock.time += 11 * DAY
    bench.deliver(came("k0003", "k0700", "k1199"))
    forget(bench)
    assert keys(bench) == ["k0003", "k0700", "k1199"]


def test_what_comes_for_an_idle_key_in_the_very_transaction_that_would_forget_it_is_kept(make: Make) -> None:
    bench, came = make(keyed(2)), Events()
    bench.deliver(came("a", "a"))
    end(bench)
    bench.clock.time += 11 * DAY
    pruner = Pruner(Store(), lambda: 0.0)
    bench.act(lambda tx: (_take(tx, came("a")), pruner.prune(tx, 0)))
    bench.restart()
    assert state(bench, key="a").window.events == 1
    assert bench.query("SELECT count(*) FROM inputs") == [(3,)]
    bench.deliver(came("a"))
    assert len(start(bench)) == 1


def test_room_that_was_made_is_there_at_once(make: Make) -> None:
    bench, came = make(keyed(1)), Events()
    bench.deliver(came("a", "b"))
    end(bench)
    bench.clock.time += 11 * DAY
    pruner = Pruner(Store(), lambda: 0.0)
    outcomes = bench.act(lambda tx: (pruner.prune(tx, 0), _take(tx, came("c", "a", "d")))[1])
    assert outcomes == ["matched", "matched", "dead_lettered"]
    assert keys(bench) == ["a", "c"]
    assert state(bench, key="a").seen_at == bench.clock.time
    bench.restart()
    assert bench.deliver(came("e", "c")) == ["dead_lettered", "matched"]


def _take(tx: Any, events: list[Event]) -> Any:
    from retrainer.engine.intake.events import take_in
    from retrainer.sources.base import Batch

    return take_in(tx, [Batch("push", events)])[0]


def test_rules_without_keys_are_never_forgotten(make: Make) -> None:
    bench = make({}, keyed(1))
    bench.deliver([event(1, who="a")])
    end(bench)
    bench.clock.time += 400 * DAY
    forget(bench)
    assert bench.store.read(lambda conn: statements.state_of(conn, "rule-0", "")) is not None
    assert keys_of(bench, "rule-1") == []


def keys_of(bench: DrivenEngine, rule: str) -> list[str]:
    return bench.store.read(lambda conn: statements.keys_of(conn, rule, "", 10))
