"""Replays, also of dead letters: what was counted is not counted again, whatever happened meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.settings import Store
from retrainer.engine.commands import operator_commands
from retrainer.engine.core import fold
from retrainer.engine.retention.prune import Pruner
from retrainer.event import Event, Poison
from retrainer.rules.outcome import Arrived
from retrainer.sources.base import Batch, OffsetRange, ReplayScope
from retrainer.sources.formats.s3 import about
from retrainer.store import tables as t
from retrainer.store.packing import unpack
from tests.houses.engine import Crash
from tests.unit.engine.kit import DAY, START, SUBMIT, Make, data, end, event, start, state

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

ALL = frozenset({"a", "b"})


def named(name: str, match: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "triggers": data(match, at_least={"events": 999}, **more), "submit": SUBMIT}


def again(bench: DrivenEngine, events: list[Any], rules: frozenset[str] = ALL, *, dry: bool = False) -> list[str]:
    return bench.deliver(events, replay_scope=ReplayScope(rules, dry))


def pending(bench: DrivenEngine, *rules: str) -> list[int]:
    return [state(bench, rule).window.events for rule in rules]


def prune(bench: DrivenEngine, size: int = 0) -> None:
    pruner = Pruner(Store(), lambda: 0.0)
    while bench.act(lambda tx: pruner.prune(tx, size)):
        pass


def everything(bench: DrivenEngine) -> dict[str, list[Any]]:
    return {table: bench.query(f"SELECT * FROM {table}") for table in t.metadata.tables if table != "meta"}


@pytest.fixture
def bench(make: Make) -> Any:
    """Rule `a` has counted e1 to e4. Rule `b` was added later, and has counted e3 and e4."""
    bench = make(named("a"))
    bench.deliver([event(1), event(2)])
    bench.clock.time += 10
    bench.edit([named("a"), named("b")])
    bench.deliver([event(3), event(4)])
    bench.clock.time += 10
    return bench


OLD = [event(n) for n in range(1, 5)]
JUDGED: list[Any] = [
    pytest.param(OLD, ALL, ["matched", "matched", "duplicate", "duplicate"], [4, 4], id="for all: `b` gets the rest"),
    pytest.param(OLD, frozenset("a"), ["duplicate"] * 4, [4, 2], id="only for the one that has all"),
    pytest.param(OLD, frozenset("b"), ["matched", "matched", "duplicate", "duplicate"], [4, 4], id="only for `b`"),
    pytest.param([event(9)], ALL, ["matched"], [5, 3], id="what never came, both count"),
    pytest.param([event(9), event(9)], ALL, ["matched", "duplicate"], [5, 3], id="twice in one replay"),
    pytest.param([Poison("push", "p", b"", "no")], ALL, ["ignored"], [4, 2], id="what nobody can read"),
    pytest.param([Event("else", "1", "t", START, {})], ALL, ["ignored"], [4, 2], id="of a source without rules"),
]


@pytest.mark.parametrize(("items", "rules", "outcomes", "counted"), JUDGED)
def test_each_rule_counts_what_it_did_not_count_before(
    bench: DrivenEngine, items: list[Any], rules: frozenset[str], outcomes: list[str], counted: list[int]
) -> None:
    assert again(bench, items, rules) == outcomes
    assert pending(bench, "a", "b") == counted
    bench.restart()
    assert "matched" not in again(bench, items, rules)
    assert pending(bench, "a", "b") == counted
    assert bench.query("SELECT * FROM dead_letters") == []


@pytest.mark.parametrize(("items", "rules", "outcomes", "counted"), [c for c in JUDGED if "twice" not in str(c.id)])
def test_a_dry_run_says_the_same_and_stores_nothing(
    bench: DrivenEngine, items: list[Any], rules: frozenset[str], outcomes: list[str], counted: list[int]
) -> None:
    before = everything(bench)
    assert again(bench, items, rules, dry=True) == outcomes
    assert everything(bench) == before


@pytest.mark.parametrize("crash", ["before", "after"])
def test_a_replay_that_dies_is_asked_for_again(bench: DrivenEngine, crash: str) -> None:
    bench.crash_at = crash
    with pytest.raises(Crash):
        again(bench, OLD)
    bench.restart()
    again(bench, OLD)
    assert pending(bench, "a", "b") == [4, 4]


def test_what_match_where_and_max_keys_turn_away_is_told_and_leaves_no_dead_letter(make: Make) -> None:
    narrow = named("a", {"k": "x"}, where="event.data.n > 0")
    keyed = {**named("b", {"k": "y"}), "for_each": {"by": {"d": "event.data.who"}, "max_keys": 1}}
    bench = make(narrow, keyed)
    items = [event(1, k="z"), event(2, k="x", n=0), event(3, k="x"), event(4, k="y", who="1"), event(5, k="y", who="2")]
    assert again(bench, items) == ["filtered", "filtered", "dead_lettered", "matched", "dead_lettered"]
    assert bench.query("SELECT * FROM dead_letters") == []


def test_a_record_that_is_still_to_come_by_itself_is_left_to_come(make: Make) -> None:
    bench = make(named("a"))
    epoch = bench.engine.claim("push", "t/0", "id", 5).epoch
    records = [
        Event("push", f"r{n}", "t", START, {}, record={"topic": "t", "partition": 0, "offset": n}) for n in range(3, 9)
    ]
    bench.deliver_all([Batch("push", records[2:4], 0.0, offsets=OffsetRange("t/0", epoch, 5, 7))])
    elsewhere = Event("push", "s", "t", START, {}, record={"topic": "t", "partition": 1, "offset": 0})
    emitted = ["matched", "matched", "duplicate", "duplicate", "ignored", "ignored", "ignored"]
    assert again(bench, [*records, elsewhere]) == emitted
    bench.deliver_all([Batch("push", records[4:], 0.0, offsets=OffsetRange("t/0", epoch, 7, 9))])
    assert pending(bench, "a") == [6]


def object_event(key: str, etag: str, number: int, bucket: str = "b", kind: str = "Put") -> Event:
    said = {"bucket": bucket, "key": key, "etag": etag, "version": "", "size": 1}
    identity = f"{about(bucket, key)} {etag} {number}"
    return Event("push", identity, f"s3:ObjectCreated:{kind}", START, said, key)


OBJECTS: list[Any] = [
    pytest.param(object_event("x", "1", 9, kind="Sweep"), "duplicate", id="the same content, listed"),
    pytest.param(object_event("x", "2", 9, kind="Sweep"), "matched", id="other content"),
    pytest.param(object_event("x", "1", 9, bucket="c", kind="Sweep"), "matched", id="another bucket"),
    pytest.param(object_event("y", "1", 9, kind="Sweep"), "matched", id="another object"),
    pytest.param(object_event("x y", "1", 9, kind="Sweep"), "matched", id="another object whose key begins alike"),
]


@pytest.mark.parametrize(("listed", "outcome"), OBJECTS)
def test_an_object_that_is_listed_is_known_by_its_content(make: Make, listed: Event, outcome: str) -> None:
    bench = make(named("a"))
    bench.deliver([object_event("x", "1", 1)], tracked=True)
    assert again(bench, [listed]) == [outcome]


def test_an_object_is_not_known_by_one_whose_key_only_begins_like_its_own(make: Make) -> None:
    bench = make(named("a"))
    bench.deliver([object_event("x y", "1", 1)], tracked=True)
    assert again(bench, [object_event("x", "1", 9)]) == ["matched"]


def test_what_a_run_wrote_is_its_own_also_when_a_listing_tells_of_it(make: Make) -> None:
    """The listing has no metadata; the notification had it."""
    bench = make({"name": "a", "triggers": data(), "submit": SUBMIT}, named("b"))
    bench.deliver([object_event("day", "1", 1)], tracked=True)
    ((run,),) = bench.query("SELECT id FROM runs")
    emitted = replace(object_event("model", "1", 2), attributes={"retrainerrun": run})
    assert bench.deliver([emitted], tracked=True) == ["matched"]  # by the other rule
    listed = object_event("model", "1", 9, kind="Sweep")
    assert bench.deliver([listed], tracked=True, swept=True) == ["duplicate"]
    assert again(bench, [listed], frozenset("a")) == ["filtered"]
    assert bench.query("SELECT count(*) FROM runs") == [(1,)]


def test_beyond_the_ledger_nobody_can_tell_but_for_a_rule_that_is_younger(bench: DrivenEngine) -> None:
    bench.act(lambda tx: operator_commands.trigger(tx, "a", "", {}, None))
    bench.act(lambda tx: operator_commands.trigger(tx, "b", "", {}, None))
    end(bench)
    bench.clock.time += 40 * DAY
    prune(bench)
    assert bench.query("SELECT * FROM events") == []
    bench.edit([named("a"), named("b"), named("c")])
    bench.deliver([event(5)])
    bench.restart()
    assert again(bench, OLD, frozenset("a")) == ["unknown"] * 4
    assert again(bench, OLD, frozenset("ab")) == ["unknown"] * 4
    assert again(bench, OLD, frozenset("ac")) == ["matched"] * 4
    assert pending(bench, "a", "b", "c") == [1, 1, 5]


def test_a_row_that_a_pending_window_keeps_does_not_hide_what_was_pruned_behind_it(make: Make) -> None:
    bench = make(named("a", {"k": "a"}))
    bench.deliver([event(0, k="a")])
    bench.clock.time += DAY
    eager = {**named("b", {"k": "b"}), "triggers": data({"k": "b"})}
    bench.edit([named("a", {"k": "a"}), eager])
    bench.deliver([event(1, k="b")])
    end(bench)
    bench.clock.time += 40 * DAY
    prune(bench)
    assert bench.query("SELECT id FROM events") == [("e0",)]
    assert again(bench, [event(1, k="b")]) == ["unknown"]


def test_what_was_pruned_for_its_size_is_gone_as_well(make: Make) -> None:
    hourly = {"n": {"schedule": {"cron": "0 * * * *"}}}
    bench = make({"name": "b"}, {"triggers": hourly})  # the schedule keeps the journal, which is not pruned by size
    bench.deliver([event(1)])
    end(bench)
    bench.tick(7200)
    prune(bench, size=1 << 60)
    assert again(bench, [event(1)]) == ["unknown"]


def test_a_key_that_was_forgotten_does_not_make_its_rule_younger(make: Make) -> None:
    keyed = {"name": "b", "triggers": data(), "submit": SUBMIT}
    keyed["for_each"] = {"by": {"d": "event.data.who"}, "forget_after": "1d"}
    bench = make(keyed)
    bench.deliver([event(1, who="x")])
    end(bench)
    bench.clock.time += 2 * DAY
    prune(bench)
    assert bench.query("SELECT * FROM states") == []
    bench.clock.time += 40 * DAY
    prune(bench)
    bench.deliver([event(2, who="y")])
    assert again(bench, [event(1, who="x")]) == ["unknown"]


def test_numbers_of_events_that_were_pruned_are_not_given_out_again(make: Make) -> None:
    bench = make({})
    bench.deliver([event(n) for n in range(5)])
    end(bench)
    end(bench)
    bench.clock.time += 40 * DAY
    prune(bench)
    assert bench.query("SELECT * FROM events") == []
    before = state(bench).taken_hi
    bench.restart()
    bench.deliver([event(9)])
    assert bench.query("SELECT seq FROM events")[0][0] > before


# -- dead letters ------------------------------------------------------------------------------------------------------


def letters(bench: DrivenEngine) -> list[int]:
    return [row[0] for row in bench.query("SELECT id FROM dead_letters ORDER BY id")]


def replay(bench: DrivenEngine, ids: list[int]) -> dict[str, Any]:
    return bench.act(lambda tx: operator_commands.replay_dead_letters(tx, ids))


def test_a_dead_letter_that_is_played_back_counts_once_and_only_for_its_rule(make: Make) -> None:
    bench = make(named("a"), named("b", where="event.data.n > 0"))
    bench.deliver([event(1)])
    (letter,) = letters(bench)
    bench.edit([named("a"), named("b")])
    assert replay(bench, [letter]) == {"replayed": 1, "failed": [], "left": []}
    assert replay(bench, [letter]) == {"replayed": 0, "failed": [], "left": []}
    assert again(bench, [event(1)]) == ["duplicate"]
    assert bench.deliver([event(1)]) == ["duplicate"]
    assert pending(bench, "a", "b") == [1, 1]


def test_one_that_a_replay_of_its_source_brought_meanwhile_is_settled_without_counting(make: Make) -> None:
    bench = make(named("b", where="event.data.n > 0"))
    bench.deliver([event(1)])
    bench.edit([named("b")])
    assert again(bench, [event(1)]) == ["matched"]
    assert replay(bench, letters(bench))["replayed"] == 1
    assert (pending(bench, "b"), letters(bench)) == ([1], [])


def test_a_letter_of_one_key_too_many_is_taken_once_there_is_room(make: Make) -> None:
    keyed = {**named("a"), "for_each": {"by": {"d": "event.data.who"}, "max_keys": 1}}
    bench = make(keyed)
    bench.deliver([event(1, who="x"), event(2, who="y")])
    emitted = replay(bench, letters(bench))
    assert (emitted["replayed"], "would exceed max_keys (still)" in emitted["failed"][0]["error"]) == (0, True)
    bench.edit([{**keyed, "for_each": {**keyed["for_each"], "max_keys": 2}}])
    assert replay(bench, letters(bench))["replayed"] == 1
    assert state(bench, "a", "y").window.events == 1


def test_a_letter_from_before_the_ledger_stays_and_says_why(make: Make) -> None:
    slow = named("b", where="event.data.n > 0")
    bench = make(slow)
    bench.deliver([event(0, n=1), event(1)])
    bench.act(lambda tx: operator_commands.trigger(tx, "b", "", {}, None))
    end(bench)
    bench.clock.time += 40 * DAY
    prune(bench)
    bench.edit([named("b")])
    emitted = replay(bench, letters(bench))
    assert (emitted["replayed"], "it is unknown" in emitted["failed"][0]["error"]) == (0, True)
    assert len(letters(bench)) == 1


def test_a_large_letter_is_played_back_whole(make: Make) -> None:
    bench = make(named("b", where="event.data.n > 0"))
    bench.deliver([event(1, text="x" * (1 << 20))])
    bench.edit([named("b")])
    assert replay(bench, letters(bench))["replayed"] == 1
    assert len(unpack(bench.query("SELECT data FROM events ORDER BY seq DESC LIMIT 1")[0][0])["text"]) == 1 << 20


def test_an_event_that_a_rule_stumbles_over_is_taken_back_and_can_be_played_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it was the first event of its rule. A second failure gives no second dead letter."""
    step = fold.step

    def stumbling(rule: Any, before: Any, given: Any, now: float, remaining_budget: Any) -> Any:
        if isinstance(given, Arrived) and given.label == "bad":
            raise ZeroDivisionError("a mistake of ours")
        return step(rule, before, given, now, remaining_budget)

    bench = make(named("a"), named("b", {"key": "bad"}))
    monkeypatch.setattr(fold, "step", stumbling)
    assert bench.deliver([event(1, key="good")]) == ["matched"]
    assert bench.deliver([event(2, key="bad"), event(3, key="good")]) == ["dead_lettered", "matched"]
    assert bench.query("SELECT rule, error FROM dead_letters ORDER BY rule") == [
        ("a", "ZeroDivisionError: a mistake of ours"),
        ("b", "ZeroDivisionError: a mistake of ours"),
    ]
    assert bench.query("SELECT outcome, rules FROM events WHERE id = 'e2'") == [("dead_lettered", "[]")]
    assert pending(bench, "a") == [2]
    assert replay(bench, letters(bench))["replayed"] == 0
    assert len(letters(bench)) == 2
    monkeypatch.undo()
    assert replay(bench, letters(bench)) == {"replayed": 2, "failed": [], "left": []}
    assert pending(bench, "a", "b") == [3, 1]
    assert start(bench) == []


# -- dead letters of metrics and alerts --------------------------------------------------------------------------------

METRIC = {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.2, "clear": 0.1, "jitter": "0s"}}


def drifting(value: str = "event.data.value", **more: Any) -> dict[str, Any]:
    asked = {**METRIC["metric"], "value": value, **more}
    return {"name": "churn", "triggers": {"drift": {"metric": asked}}, "submit": SUBMIT}


BROKEN = drifting("event.data.psi")
"""Its expression fails on the events."""


def psi(number: int, value: float, at: float = START, **labels: str) -> Event:
    return Event("push", f"v{number}", "json", at, {"metric": "psi", "value": value, "labels": labels})


def known(bench: DrivenEngine, rule: str = "churn") -> dict[str, Any]:
    (gauge,) = state(bench, rule).gauges.values()
    return {name: one.value for name, one in gauge.series.items()}


def errors(emitted: dict[str, Any]) -> list[str]:
    return [one["error"] for one in emitted["failed"]]


def test_a_value_that_a_rule_could_not_read_is_taken_once_it_can(make: Make) -> None:
    bench = make(BROKEN)
    assert bench.deliver([psi(1, 0.31)]) == ["dead_lettered"]
    bench.clock.time += 60
    assert errors(replay(bench, letters(bench))) != []
    bench.edit([drifting()])
    assert replay(bench, letters(bench)) == {"replayed": 1, "failed": [], "left": []}
    assert known(bench) == {"psi{}": 0.31}
    assert bench.query("SELECT trigger, reason FROM runs") == [("drift", "threshold")]
    assert letters(bench) == []


def test_a_value_that_something_newer_has_overtaken_is_refused_and_changes_nothing(make: Make) -> None:
    """The value crossed and was not read, and has cleared since: a late replay must not fire."""
    bench = make(BROKEN)
    bench.deliver([psi(1, 0.31, START - 60)])
    bench.edit([drifting()])
    bench.deliver([psi(2, 0.05, START)])
    emitted = replay(bench, letters(bench))
    assert (emitted["replayed"], "a newer value of its series was counted since" in errors(emitted)[0]) == (0, True)
    assert known(bench) == {"psi{}": 0.05}
    assert bench.query("SELECT id FROM runs") == []
    assert len(letters(bench)) == 1


def test_only_the_series_itself_overtakes(make: Make) -> None:
    bench = make(BROKEN)
    bench.deliver([psi(1, 0.31, START - 60, model="a")])
    bench.edit([drifting()])
    bench.deliver([psi(2, 0.05, START, model="b")])
    assert replay(bench, letters(bench))["replayed"] == 1
    assert known(bench) == {'psi{model="a"}': 0.31, 'psi{model="b"}': 0.05}


def test_values_are_folded_in_the_order_in_which_they_came(make: Make) -> None:
    bench = make(drifting("event.data.psi", consecutive=3))
    bench.deliver([psi(n, 0.31, START + n) for n in range(3)])
    bench.edit([drifting(consecutive=3)])
    assert replay(bench, letters(bench)[::-1])["replayed"] == 3
    assert bench.query("SELECT reason FROM runs") == [("threshold",)]


def test_a_value_too_old_to_say_anything_is_refused(make: Make) -> None:
    bench = make(drifting("event.data.psi", max_sample_age="1h", no_data="fire"))
    bench.deliver([psi(1, 0.31)])
    bench.edit([drifting(max_sample_age="1h", no_data="fire")])
    bench.clock.time += 3601
    emitted = replay(bench, letters(bench))
    assert (emitted["replayed"], "older than max_sample_age" in errors(emitted)[0]) == (0, True)
    assert bench.query("SELECT id FROM runs") == []


def test_one_that_was_sent_again_meanwhile_is_settled_without_being_folded_twice(make: Make) -> None:
    bench = make(drifting("event.data.psi", consecutive=2))
    bench.deliver([psi(1, 0.31)], identity_window=0)
    bench.edit([drifting(consecutive=2)])
    assert bench.deliver([psi(1, 0.31)], identity_window=0) == ["matched"]
    assert replay(bench, letters(bench)) == {"replayed": 1, "failed": [], "left": []}
    assert bench.query("SELECT id FROM runs") == []


def test_a_value_of_one_key_too_many_is_taken_once_there_is_room(make: Make) -> None:
    keyed = {**drifting(), "for_each": {"by": {"drift": "event.data.labels.customer"}, "max_keys": 1}}
    bench = make(keyed)
    bench.deliver([psi(1, 0.05, customer="x"), psi(2, 0.31, customer="y")])
    assert "would exceed max_keys (still)" in errors(replay(bench, letters(bench)))[0]
    bench.edit([{**keyed, "for_each": {**keyed["for_each"], "max_keys": 2}}])
    assert replay(bench, letters(bench))["replayed"] == 1
    assert bench.query("SELECT key, reason FROM runs") == [("y", "threshold")]


def test_a_letter_of_one_rule_does_not_reach_the_gauges_of_another(make: Make) -> None:
    other = {**drifting(), "name": "other"}
    bench = make(BROKEN, other)
    bench.deliver([psi(1, 0.31, START)])
    bench.deliver([psi(2, 0.05, START + 60)])
    bench.edit([drifting(), other])
    replay(bench, letters(bench))
    assert known(bench, "other") == {"psi{}": 0.05}
    assert known(bench) == {"psi{}": 0.05}


def test_a_source_that_is_read_again_tells_metrics_nothing(make: Make) -> None:
    bench = make(drifting())
    assert again(bench, [psi(1, 0.31)], frozenset({"churn"})) == ["filtered"]
    assert bench.query("SELECT id FROM runs") == []


def alert(number: int, status: str) -> Event:
    facts = {"status": status, "fingerprint": "f", "labels": {"alertname": "x"}, "startsAt": "2027-01-15T08:00:00Z"}
    return Event("push", f"a{number}", "alert", START, facts)


def test_an_alert_and_its_end_are_played_back_together(make: Make) -> None:
    paged = {
        "name": "churn",
        "triggers": {"page": {"alert": {"source": "push", "match": {"alertname": "x"}, "for": "10m"}}},
        "for_each": {"by": {"page": "event.data.labels.customer"}},
        "submit": SUBMIT,
    }
    bench = make(paged)
    assert bench.deliver([alert(1, "firing"), alert(2, "resolved")]) == ["dead_lettered", "dead_lettered"]
    bench.edit([{**paged, "for_each": {"by": {"page": "event.data.labels.alertname"}}}])
    assert replay(bench, letters(bench))["replayed"] == 2
    bench.tick(3600)
    assert bench.query("SELECT id FROM runs") == []
