"""The effect of an edit on the stored state of a rule, as documented in docs/concepts/editing.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.daemon import collectors
from retrainer.engine.commands import operator_commands
from retrainer.engine.core import rule_changes
from retrainer.rules.state import State, decode
from retrainer.rules.state_fingerprint import Dropped
from retrainer.sources.base import Batch
from tests.unit.engine.kit import SUBMIT, Make, event, observed, start, state

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.houses.engine import DrivenEngine

TEN = {"at_least": {"events": 10}}
CHANGED = "its definition has changed"
GONE = "the trigger was removed"


def rule(**triggers: Any) -> dict[str, Any]:
    return {"name": "rule-0", "triggers": triggers, "submit": SUBMIT}


def data(**more: Any) -> dict[str, Any]:
    return {"data": {"source": "push", "match": {"kind": "a"}, "batch": TEN, **more}}


def metric(**more: Any) -> dict[str, Any]:
    return {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.2, "jitter": "0s", "for": "1h", **more}}


def pending(bench: DrivenEngine) -> int:
    """The number of events that the next run would take."""
    entry = bench.act(lambda tx: tx.states.entry(tx.catalog.rules["rule-0"], ""))
    return int(entry.state.window.events)


@pytest.mark.parametrize(
    ("edited", "kept"),
    [
        pytest.param(rule(d=data(batch={"at_least": {"events": 20}})), 3, id="another batch is asked of the same data"),
        pytest.param({**rule(d=data()), "limits": {"priority": 3}}, 3, id="a limit"),
        pytest.param({**rule(d=data()), "mode": "paused"}, 3, id="paused"),
        pytest.param(rule(d=data(), n={"schedule": {"cron": "@daily"}}), 3, id="a trigger more"),
        pytest.param(rule(d=data(match={"kind": "b"})), 0, id="other data"),
        pytest.param(rule(d=data(where="event.data.n > 1")), 0, id="a filter more"),
        pytest.param(rule(d=data(source="topic")), 0, id="another source"),
        pytest.param(rule(other=data()), 0, id="the trigger is called otherwise"),
        pytest.param(rule(d={"schedule": {"cron": "@daily"}}), 0, id="another kind under the same name"),
    ],
)
def test_data_is_kept_while_it_means_the_same(make: Make, edited: dict[str, Any], kept: int) -> None:
    bench = make(rule(d=data()))
    bench.deliver([event(i, kind="a") for i in range(3)])
    dropped = bench.edit([edited])
    assert pending(bench) == kept
    assert [d.trigger for d in dropped] == ([] if kept else ["d"])


def test_of_two_triggers_the_one_that_did_not_change_keeps_its_data(make: Make) -> None:
    bench = make(rule(a=data(), b=data(match={"kind": "b"})))
    bench.deliver([event(i, kind="ab"[i % 2]) for i in range(5)])
    assert pending(bench) == 5
    assert bench.edit([rule(a=data(), b=data(match={"kind": "c"}))]) == [Dropped("rule-0", "b", CHANGED)]
    assert pending(bench) == 3


def test_a_state_that_was_not_evaluated_for_many_edits_still_loses_what_changed(make: Make) -> None:
    bench = make(rule(d=data()))
    bench.deliver([event(i, kind="a") for i in range(3)])
    for n in range(120):
        bench.edit([rule(d=data(match={"kind": f"b{n}"}))])
    assert pending(bench) == 0


def psi(bench: DrivenEngine, value: float, number: int) -> None:
    bench.deliver_all([Batch("push", [event(number, metric="psi", value=value)])])


@pytest.mark.parametrize(
    ("edited", "starts"),
    [
        pytest.param(metric(repeat_interval="2d"), 1, id="what does not bear on what was seen"),
        pytest.param(metric(above=0.3), 0, id="another threshold begins anew"),
        pytest.param(metric(clear=0.1), 0, id="another hysteresis begins anew"),
        pytest.param(metric(value="event.data.value * 1.0"), 0, id="another value begins anew"),
    ],
)
def test_a_metric_that_waits_out_its_time_goes_on_if_it_means_the_same(
    make: Make, edited: dict[str, Any], starts: int
) -> None:
    bench = make(rule(d=metric()))
    psi(bench, 0.5, 1)
    bench.tick(1800)
    bench.edit([rule(d=edited)])
    psi(bench, 0.5, 2)
    bench.tick(1800)
    assert bench.query("SELECT count(*) FROM runs") == [(starts,)]


def slots(bench: DrivenEngine) -> list[tuple[str, str]]:
    return [tuple(row) for row in bench.query("SELECT outcome, reason FROM slots ORDER BY slot")]


HOURLY = {"schedule": {"cron": "0 * * * *"}}
HALF_PAST = {"schedule": {"cron": "30 * * * *"}}


@pytest.mark.parametrize(
    ("edited", "then"),
    [
        pytest.param(rule(n=HALF_PAST), [("skipped", "edited")], id="another cron"),
        pytest.param(rule(m=HOURLY), [("skipped", "edited")], id="gone"),
        pytest.param(rule(n={"schedule": {**HOURLY["schedule"], "jitter": "1m"}}), [("fired", "schedule")], id="same"),
    ],
)
def test_a_slot_that_was_due_has_its_one_record_whatever_is_edited(
    make: Make, edited: dict[str, Any], then: list[tuple[str, str]]
) -> None:
    bench = make({**rule(n=HOURLY), "mode": "paused"})
    bench.tick(3600)
    assert slots(bench) == []
    bench.edit([edited])
    bench.tick(60)
    assert slots(bench) == then


@pytest.mark.parametrize("edited", [pytest.param({}, id="unchanged"), pytest.param({"priority": 1}, id="edited")])
def test_a_slot_that_passed_while_the_daemon_was_down_is_found(make: Make, edited: dict[str, Any]) -> None:
    bench = make(rule(n=HOURLY))
    bench.clock.time += 3700
    bench.restart([{**rule(n=HOURLY), "limits": edited}] if edited else None)
    bench.tick(1)
    assert slots(bench) == [("fired", "schedule")]


def test_the_data_of_a_trigger_that_went_and_came_back_is_gone(make: Make) -> None:
    bench = make(rule(d=data()))
    bench.deliver([event(i, kind="a") for i in range(3)])
    assert bench.edit([rule(other=data())]) == [Dropped("rule-0", "d", GONE)]
    assert pending(bench) == 0
    bench.edit([rule(d=data())])
    assert pending(bench) == 0


def test_a_key_that_slept_through_several_edits_is_judged_by_what_it_last_knew(make: Make) -> None:
    keyed = {"for_each": {"by": {"d": "event.data.who"}}}
    bench = make({**rule(d=data()), **keyed})
    bench.deliver([event(1, kind="a", who="acme")])
    named = [Dropped("rule-0", "d", CHANGED)]
    assert bench.edit([{**rule(d=data(match={"kind": "b"})), **keyed}]) == named
    assert bench.edit([{**rule(d=data()), **keyed}]) == named, "an edit that is undone is an edit too"
    entry = bench.act(lambda tx: tx.states.entry(tx.catalog.rules["rule-0"], "acme"))
    assert entry.state.window.events == 1, "it was never asked while the rule meant something else"


def test_what_is_known_of_edits_survives_a_restart(make: Make) -> None:
    bench = make(rule(d=data()))
    bench.deliver([event(1, kind="a")])
    edited = rule(d=data(match={"kind": "b"}))
    bench.edit([edited])
    bench.restart()
    assert pending(bench) == 0


def test_what_is_loaded_again_unchanged_drops_nothing(make: Make) -> None:
    bench = make(rule(d=data()))
    bench.deliver([event(1, kind="a")])
    bench.restart()
    assert bench.edit([rule(d=data())]) == []
    assert pending(bench) == 1


def test_a_rule_that_goes_and_comes_back_finds_its_state(make: Make) -> None:
    bench = make(rule(d=data()))
    bench.deliver([event(1, kind="a")])
    bench.edit([{**rule(d=data()), "name": "renamed"}])
    assert bench.deliver([event(2, kind="a")]) == ["matched"]
    bench.edit([rule(d=data())])
    assert pending(bench) == 1


def test_a_run_keeps_the_revision_that_made_it(make: Make) -> None:
    bench = make(rule(d=data(batch={})))
    bench.deliver([event(1, kind="a")])
    bench.edit([{**rule(d=data(batch={})), "limits": {"overlap": "allow_all"}}])
    bench.deliver([event(2, kind="a")])
    assert [row[0] for row in bench.query("SELECT revision FROM runs ORDER BY created_at, id")] == ["r", "r'"]


@pytest.mark.parametrize(
    ("phase", "pending_then"),
    [
        pytest.param("Failed", 1, id="what it took is back"),
        pytest.param("Succeeded", 0, id="what it took is spent"),
    ],
)
def test_a_run_that_ends_while_its_rule_is_gone_is_in_nobodys_way(make: Make, phase: str, pending_then: int) -> None:
    at_once = rule(d=data(batch={}))
    bench = make({**at_once, "limits": {"overlap": "buffer_one"}})
    bench.deliver([event(1, kind="a")])
    (run,) = start(bench)
    bench.edit([])
    bench.gateway.observed([observed(run, phase)])
    bench.edit([at_once])
    assert pending(bench) == pending_then
    bench.deliver([event(2, kind="a")])
    assert bench.query("SELECT count(*) FROM runs") == [(2,)]
    assert pending(bench) == 0


def test_a_renamed_rule_begins_anew(make: Make) -> None:
    bench = make(rule(d=data(), n=HOURLY))
    bench.deliver([event(i, kind="a") for i in range(3)])
    bench.clock.time += 3700
    assert bench.edit([{**rule(d=data(), n=HOURLY), "name": "renamed"}]) == [], "what the old name knew is kept"
    of_renamed = bench.query("SELECT count(*) FROM slots WHERE rule = 'renamed'")
    assert of_renamed == [(0,)], "nothing before it first existed is caught up"
    entry = bench.act(lambda tx: tx.states.entry(tx.catalog.rules["renamed"], ""))
    assert entry.state.window.events == 0


def test_a_pause_counts_and_keeps_and_resuming_starts_what_is_due_once(make: Make) -> None:
    bench = make(rule(d=data(batch={}), n=HOURLY))
    bench.act(lambda tx: operator_commands.pause(tx, "rule-0", "maintenance"))
    bench.deliver([event(i, kind="a") for i in range(3)])
    bench.tick(3 * 3600)
    bench.restart()
    edited = {**rule(d=data(batch={}), n=HOURLY), "limits": {"priority": 1}}
    bench.edit([edited])
    assert bench.query("SELECT count(*) FROM runs") == [(0,)], "a pause outlives restarts and edits"
    assert slots(bench) == [("skipped", "superseded")] * 2
    bench.act(lambda tx: operator_commands.resume(tx, "rule-0"))
    assert bench.query("SELECT count(*) FROM runs") == [(1,)]
    assert slots(bench)[-1] == ("fired", "schedule")
    assert pending(bench) == 0


def test_what_shadow_would_have_run_counts_when_the_rule_becomes_active(make: Make) -> None:
    resting = {**rule(d=data(batch={})), "limits": {"cooldown": {"period": "1h"}}}
    bench = make({**resting, "mode": "shadow"})
    bench.deliver([event(1, kind="a")])
    assert pending(bench) == 0, "a run that is only recorded takes the data too"
    bench.edit([resting])
    bench.deliver([event(2, kind="a")])
    assert bench.query("SELECT count(*) FROM runs") == [(0,)]
    bench.tick(3600)
    assert bench.query("SELECT count(*) FROM runs") == [(1,)]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param({"mode": "paused"}, id="it was paused"),
        pytest.param({"limits": {"overlap": "buffer_one"}}, id="another run was in its way"),
    ],
)
def test_a_key_that_an_edit_sets_free_needs_nothing_else_to_start(make: Make, before: dict[str, Any]) -> None:
    keyed = {**rule(d=data(batch={"at_least": {"events": 1}})), "for_each": {"by": {"d": "event.data.who"}}}
    bench = make({**keyed, **before})
    bench.deliver([event(1, kind="a", who="acme")])
    bench.deliver([event(2, kind="a", who="acme")])
    started = len(bench.query("SELECT id FROM runs"))
    bench.edit([{**keyed, "limits": {"overlap": "allow_all", "max_active": 5}}])
    bench.tick(1)
    assert len(bench.query("SELECT id FROM runs")) == started + 1


def test_metrics_and_explain_show_what_an_edit_leaves_before_the_rule_is_evaluated_again(make: Make) -> None:
    bench = make(rule(d=data()))
    bench.deliver([event(n, kind="a") for n in range(3)])
    bench.edit([rule(d=data(match={"kind": "b"}))])

    def look(conn: Connection) -> tuple[list[Any], State]:
        rules = bench.engine.catalog.rules
        seen = collectors._states(conn, rules=rules, now=bench.clock.time, after=-1)
        return seen, rule_changes.state_as_it_will_be(conn, rules["rule-0"], "", bench.clock.time)

    ((_, _, _, text),), shown = bench.store.read(look)
    assert (decode(text).window.events, shown.window.events) == (0, 0)
    assert state(bench).window.events == 3, "nothing is written yet: an edit that is taken back has cost nothing"
