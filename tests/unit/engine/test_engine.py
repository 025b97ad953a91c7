"""The engine beyond single decisions: keys, operator commands, dead letters, admission, retention."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.settings import Store
from retrainer.engine.commands import operator_commands
from retrainer.engine.core import engine
from retrainer.engine.intake.events import take_in
from retrainer.engine.retention.prune import Pruner
from retrainer.event import Poison
from retrainer.sources.base import Batch
from retrainer.store.base import StoreBusyError
from retrainer.workflows.base import Observed
from tests.unit.engine.kit import ANY, START, SUBMIT, Make, data, event, observed, start, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.houses.engine import DrivenEngine


def test_each_event_ends_in_exactly_one_outcome(make: Make) -> None:
    bench = make(
        {"triggers": {"d": {"data": {"source": "push", "match": {"kind": "a"}, "where": "event.data.n > 1"}}}},
    )
    poison = Poison("push", "p1", b"\xff", "not UTF-8")
    items: list[Any] = [
        event(1, kind="a", n=2),
        event(2, kind="b"),
        event(3, kind="a", n=1),
        event(4, kind="a"),
        event(1, kind="a", n=2),
        poison,
    ]
    assert bench.deliver(items) == ["matched", "filtered", "filtered", "dead_lettered", "duplicate", "dead_lettered"]
    letters = bench.query("SELECT event, reason, rule FROM dead_letters ORDER BY id")
    assert [tuple(r) for r in letters] == [("e4", "raised", "rule-0"), ("p1", "unreadable", "")]


def test_an_event_of_a_source_without_rules_is_ignored(make: Make) -> None:
    bench = make({"triggers": {"d": {"data": {"source": "other"}}}})
    assert bench.deliver([event(1)]) == ["ignored"]


def test_a_schedule_speaks_for_every_live_key(make: Make) -> None:
    hourly = {"n": {"schedule": {"cron": "0 * * * *"}}}
    data = {"d": {"data": {"source": "push", "batch": {"at_least": {"events": 99}}}}}
    bench = make({"triggers": {**hourly, **data}, "for_each": {"by": {"d": "event.data.who"}}})
    bench.tick(3600)
    assert [tuple(r) for r in bench.query("SELECT key, outcome, reason FROM slots")] == [("", "skipped", "no_keys")]
    bench.deliver([event(i, who=f"k{i:04}") for i in range(1200)])
    bench.tick(3600)
    assert bench.query("SELECT count(*), count(DISTINCT key) FROM runs")[0] == (1200, 1200)
    assert bench.query("SELECT count(*) FROM slots WHERE outcome = 'fired'")[0][0] == 1200
    assert bench.query("SELECT count(*) FROM fan_outs")[0][0] == 0


def test_keys_beyond_the_limit_are_dead_lettered_with_that_reason(make: Make) -> None:
    bench = make({"for_each": {"by": {"d": "event.data.who"}, "max_keys": 2}})
    assert bench.deliver([event(i, who=who) for i, who in enumerate("abca")]) == [
        "matched",
        "matched",
        "dead_lettered",
        "matched",
    ]
    bench.restart()
    assert bench.deliver([event(10, who="d")]) == ["dead_lettered"]


def test_a_run_sees_the_event_that_started_it_and_the_run_before(make: Make) -> None:
    parameters = {
        "keys": "${events.map(e, e.data.key)}",
        "since": "${window.start}",
        "before": "${has(previous.phase) ? previous.phase : 'none'}",
    }
    bench = make({"submit": {**SUBMIT, "parameters": parameters}})
    bench.deliver([event(1, key="a.csv")])
    (first,) = start(bench)
    assert dict(first.parameters) == {"keys": '["a.csv"]', "since": "2027-01-15T08:00:00Z", "before": "none"}
    bench.gateway.observed([observed(first, "Failed", message="boom")])
    bench.deliver([event(2, key="b.csv")])
    (second,) = start(bench)
    assert second.parameters["keys"] == '["a.csv","b.csv"]'
    assert second.parameters["before"] == "FAILED"


def test_a_run_without_its_parameters_is_not_born_and_loses_nothing(make: Make) -> None:
    bench = make({"submit": {**SUBMIT, "parameters": {"p": "${window.nothing}"}}})
    bench.deliver([event(1, key="a.csv")])
    assert bench.query("SELECT count(*) FROM runs")[0][0] == 0
    rows = bench.query("SELECT decision, reason, detail FROM decisions ORDER BY id")
    assert [tuple(r)[:2] for r in rows] == [("fire", "batch_complete"), ("skip", "bad_parameters")]
    assert rows[1][2].startswith("parameters.p: `window.nothing`: no field 'nothing'")
    state = json.loads(bench.query("SELECT state FROM states")[0][0])
    assert state["window"]["events"] == 1
    assert "active" not in state


def test_a_manual_run_with_an_idempotency_key_is_started_once(make: Make) -> None:
    bench = make({"submit": {**SUBMIT, "parameters": {"depth": 3}}, "limits": {"overlap": "allow_all"}})
    answers = [bench.act(lambda w: operator_commands.trigger(w, "rule-0", "", {"depth": "5"}, "k1")) for _ in range(2)]
    bench.restart()
    answers.append(bench.act(lambda w: operator_commands.trigger(w, "rule-0", "", {"depth": "5"}, "k1")))
    assert answers[0] == answers[1] == answers[2]
    (run,) = start(bench)
    assert dict(run.parameters) == {"depth": "5"}


@pytest.mark.parametrize(
    ("rule", "key", "parameters", "error", "words"),
    [
        pytest.param("nope", "", {}, LookupError, "there is no rule 'nope'", id="no such rule"),
        pytest.param("rule-0", "k", {}, ValueError, "has no key", id="a key where there is none"),
        pytest.param(
            "rule-0", "", {"x": "1"}, ValueError, "has no parameter 'x'; it has depth", id="unknown parameter"
        ),
        ("rule-0", "", {"depth": "a {{x}}"}, ValueError, "parameter depth: .*Argo would expand it"),
        ("rule-0", "", {"depth": "a\0b"}, ValueError, "parameter depth: .*NUL"),
    ],
)
def test_a_manual_run_that_makes_no_sense_is_refused(
    make: Make, rule: str, key: str, parameters: dict[str, str], error: type[Exception], words: str
) -> None:
    bench = make({"submit": {**SUBMIT, "parameters": {"depth": 3}}})
    with pytest.raises(error, match=words):
        bench.act(lambda w: operator_commands.trigger(w, rule, key, parameters, None))


def test_a_pool_is_shared_by_priority_then_age(make: Make) -> None:
    def ruled(name: str, priority: int) -> dict[str, Any]:
        match = {"d": {"data": {"source": "push", "match": {"to": name}}}}
        return {"name": name, "triggers": match, "limits": {"pool": "gpu", "priority": priority}}

    bench = make(ruled("low", 0), ruled("high", 5), ruled("mid", 1), pools={"gpu": 1})
    bench.deliver([event(1, to="low")])
    bench.deliver([event(2, to="mid"), event(3, to="high")])
    order = []
    for _ in range(3):
        (run,) = start(bench)
        order.append(run.rule)
        bench.gateway.observed([observed(run, "Succeeded")])
    assert order == ["low", "high", "mid"]


def test_transitions_are_stored_with_outputs_in_their_types(make: Make) -> None:
    outputs = {
        "auc": {"parameter": "auc"},
        "promoted": {"parameter": "promoted", "type": "boolean"},
        "note": {"parameter": "note", "type": "string"},
        "text": {"parameter": "text", "type": "string"},
    }
    bench = make({"submit": {**SUBMIT, "outputs": outputs}})
    bench.deliver([event(1)])
    (run,) = start(bench)
    bench.gateway.observed([observed(run, "Running", started_at=START)])
    given = {"auc": "0.91\n", "promoted": " True\r\n", "note": "7", "text": " a\r\nb \n", "other": "x"}
    bench.gateway.observed([observed(run, "Succeeded", outputs=given, resources={"cpu": 3.0})])
    row = bench.query("SELECT phase, outputs, resources, ended_at FROM runs")[0]
    typed = {"auc": 0.91, "promoted": True, "note": "7", "text": " a\r\nb \n"}
    assert (row[0], json.loads(row[1])) == ("SUCCEEDED", typed)
    assert (json.loads(row[2]), row[3]) == ({"cpu": 3.0}, START)


def test_a_run_that_is_seen_late_ended_when_its_workflow_says(make: Make) -> None:
    bench = make({"limits": {"cooldown": {"period": "1h"}}})
    bench.deliver([event(1)])
    (run,) = start(bench)
    bench.tick(12)
    bench.gateway.observed([observed(run, "Succeeded", started_at=START, finished_at=START + 2)])
    row = bench.query("SELECT started_at, ended_at FROM runs")[0]
    assert tuple(row) == (START, START + 2)
    assert (state(bench).last_completed, state(bench).last_succeeded) == (START + 2, START + 2)


@pytest.mark.parametrize("off", [pytest.param(-3600.0, id="behind"), pytest.param(3600.0, id="ahead")])
def test_of_a_clock_that_is_off_nothing_is_believed(make: Make, off: float) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = start(bench)
    bench.tick(12)
    bench.gateway.observed([observed(run, "Running", started_at=START + off)])
    bench.gateway.observed([observed(run, "Succeeded", started_at=START + off, finished_at=START + 2 + off)])
    assert tuple(bench.query("SELECT started_at, ended_at FROM runs")[0]) == (None, START + 12)


WATCHED: list[Any] = [
    pytest.param({"phase": "Failed", "message": "exit 1"}, "FAILED", "exit 1", id="failed"),
    pytest.param({"phase": "Failed", "stopped": True, "message": "Stopped"}, "CANCELLED", "Stopped", id="stopped"),
    pytest.param({"phase": "Error", "message": "bad"}, "ERROR", "bad", id="error"),
    pytest.param({"phase": "Running", "gone": True}, "UNKNOWN", "the Workflow is gone", id="gone"),
    pytest.param({"phase": "Running", "deleting": True}, "CANCELLED", "was deleted while Running", id="deleted"),
]


@pytest.mark.parametrize(("seen", "phase", "words"), WATCHED)
def test_every_run_ends_in_a_phase_with_a_reason(make: Make, seen: dict[str, Any], phase: str, words: str) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = start(bench)
    bench.gateway.observed([observed(run, **seen)])
    row = bench.query("SELECT phase, message FROM runs")[0]
    assert row[0] == phase
    assert words in row[1]


def test_another_workflow_of_that_name_is_not_ours(make: Make) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = start(bench)
    bench.gateway.observed([Observed("ml", run.workflow, "foreign", run.id, "Succeeded")])
    assert bench.query("SELECT phase FROM runs")[0][0] == "SUBMITTED"


def test_a_workflow_that_appears_after_its_run_was_given_up_is_stopped_and_released(make: Make) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = bench.gateway.claim(10, 30)
    bench.act(lambda w: operator_commands.cancel(w, run.id, "Stop"))
    bench.gateway.postponed(run.id, "no answer", 5)
    assert bench.query("SELECT phase FROM runs")[0][0] == "CANCELLED"
    bench.gateway.observed([observed(run, "Running")])
    assert [r.id for r in bench.gateway.to_stop()] == [run.id]
    bench.gateway.observed([observed(run, "Failed", stopped=True)])
    assert bench.query("SELECT phase FROM runs")[0][0] == "CANCELLED"
    assert [r.id for r in bench.gateway.to_release()] == [run.id]


def test_a_reopened_run_is_followed_to_its_new_end(make: Make) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = start(bench)
    bench.gateway.observed([observed(run, "Failed")])
    bench.gateway.observed([observed(run, "Running"), observed(run, "Succeeded")])
    assert bench.query("SELECT phase FROM runs")[0][0] == "SUCCEEDED"
    state = json.loads(bench.query("SELECT state FROM states")[0][0])
    assert "active" not in state


STOPS: list[Any] = [
    pytest.param(lambda _: None, "CANCELLED", id="before anybody claimed it"),
    pytest.param(start, "SUBMITTED", id="once it runs, its end is waited for"),
]


@pytest.mark.parametrize(("before", "phase"), STOPS)
def test_cancel_is_a_durable_request(make: Make, before: Callable[[DrivenEngine], Any], phase: str) -> None:
    bench = make({})
    bench.deliver([event(1)])
    before(bench)
    run_id = bench.query("SELECT id FROM runs")[0][0]
    bench.act(lambda w: operator_commands.cancel(w, run_id, "Terminate"))
    bench.restart()
    row = bench.query("SELECT phase, stop_requested FROM runs")[0]
    assert tuple(row) == (phase, "Terminate")
    assert [r.id for r in bench.gateway.to_stop()] == ([run_id] if phase == "SUBMITTED" else [])


def test_a_postponed_run_comes_again_under_the_same_name_when_its_time_has_come(make: Make) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = bench.gateway.claim(10, 30)
    bench.gateway.postponed(run.id, "429 too many requests", 20)
    assert bench.gateway.claim(10, 30) == []
    bench.tick(21)
    assert [r.workflow for r in bench.gateway.claim(10, 30)] == [run.workflow]


def test_a_lease_that_ran_out_and_a_restart_bring_a_run_back_under_its_name(make: Make) -> None:
    bench = make({})
    bench.deliver([event(1)])
    (run,) = bench.gateway.claim(10, 30)
    assert bench.gateway.claim(10, 30) == []
    bench.tick(31)
    assert [r.workflow for r in bench.gateway.claim(10, 30)] == [run.workflow]
    bench.restart()
    bench.clock.time += 0.001
    assert [r.workflow for r in bench.gateway.claim(10, 30)] == [run.workflow]


def test_dead_letters_can_be_replayed_once_the_rule_can_take_them(make: Make) -> None:
    bench = make({"for_each": {"by": {"d": "event.data.who"}}})
    bench.deliver([event(1), Poison("push", "p", b"{", "cut short")])
    ids = [row[0] for row in bench.query("SELECT id FROM dead_letters")]
    answer = bench.act(lambda w: operator_commands.replay_dead_letters(w, ids))
    assert (answer["replayed"], len(answer["failed"])) == (0, 2)
    assert len(bench.query("SELECT id FROM dead_letters")) == 2  # a dead letter that failed again is kept
    bench.edit([{"name": "rule-0", "triggers": ANY, "submit": SUBMIT}])
    assert bench.act(lambda w: operator_commands.replay_dead_letters(w, ids))["replayed"] == 1
    assert bench.query("SELECT count(*) FROM inputs") == [(1,)]
    assert bench.act(lambda w: operator_commands.discard_dead_letters(w, [1, 2, 3])) == 1
    assert bench.query("SELECT id FROM dead_letters") == []


def test_retention_keeps_what_a_pending_window_still_needs(make: Make) -> None:
    slow = {
        "triggers": {"d": {"data": {"source": "push", "match": {"k": "slow"}, "batch": {"at_least": {"events": 9}}}}}
    }
    bench = make(slow)
    bench.deliver([event(i, k="slow" if i == 3 else "other") for i in range(6)])
    bench.clock.time += 40 * 86400
    pruner = Pruner(Store(), lambda: 0.0)
    while bench.act(lambda w: pruner.prune(w, 0)):
        pass
    assert [row[0] for row in bench.query("SELECT id FROM events")] == ["e3"]
    assert bench.query("SELECT count(*) FROM identities")[0][0] == 0


def test_retention_keeps_what_its_own_transaction_brought(make: Make) -> None:
    bench = make({"triggers": data(at_least={"events": 9})}, {})
    pruner = Pruner(Store(), lambda: 0.0)
    bench.act(lambda tx: (take_in(tx, [Batch("push", [event(1)])]), pruner.prune(tx, 1 << 60)))
    assert bench.query("SELECT id FROM events") == [("e1",)]
    assert bench.query("SELECT count(*) FROM inputs") == [(2,)]


def test_repeats_are_told_apart_by_last_sight(make: Make) -> None:
    bench = make({})
    day = 86400
    for _ in range(4):
        bench.deliver([event(1)])
        bench.clock.time += 5 * day
        pruner = Pruner(Store(), lambda: 0.0)
        bench.act(lambda w, p=pruner: p.prune(w, 0))
    assert bench.query("SELECT count(*) FROM events")[0][0] == 1


def test_resume_closes_the_circuit_of_every_key(make: Make) -> None:
    limits = {"pause_after_failures": 1}
    bench = make({"for_each": {"by": {"d": "event.data.who"}}, "limits": limits})
    bench.deliver([event(1, who="a"), event(2, who="b")])
    for run in start(bench):
        bench.gateway.observed([observed(run, "Failed")])
    bench.deliver([event(3, who="a"), event(4, who="b")])
    assert start(bench) == []
    bench.act(lambda w: operator_commands.resume(w, "rule-0"))
    assert sorted(run.key for run in start(bench)) == ["a", "b"]


def test_a_pause_by_hand_survives_a_restart(make: Make) -> None:
    bench = make({})
    bench.act(lambda w: operator_commands.pause(w, "rule-0", "incident"))
    bench.restart()
    bench.deliver([event(1)])
    assert start(bench) == []
    bench.act(lambda w: operator_commands.resume(w, "rule-0"))
    assert len(start(bench)) == 1


def test_an_admission_that_was_rolled_back_is_made_up_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may start, and the store is busy in the same transaction."""
    bench = make(
        {"limits": {"pool": "gpu"}, "submit": {**SUBMIT, "retry": {"limit": 1, "backoff": {"duration": "1m"}}}},
        pools={"gpu": 1},
    )
    bench.deliver([event(1)])
    bench.gateway.observed([observed(run, "Failed") for run in start(bench)])
    assert start(bench) == []
    monkeypatch.setattr(engine, "RETRY_AFTER", 0.01)
    write, left = bench.store.write, [0, 1, 0]  # the due time is detected in one transaction, and used in the next

    @contextmanager
    def busy_once(just_before: Callable[[], None]) -> Iterator[Any]:
        with write(just_before) as conn:
            yield conn
            if left and left.pop(0):
                raise StoreBusyError("disk is full")

    monkeypatch.setattr(bench.store, "write", busy_once)
    bench.tick(120)
    assert left == []
    assert [run.attempt for run in start(bench)] == [2]
