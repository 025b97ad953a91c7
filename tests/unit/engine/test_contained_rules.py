"""Several rules match the same input, and one of them raises during matching: the others take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from retrainer.engine.commands import operator_commands
from retrainer.engine.core.states import States
from retrainer.engine.intake import matching, samples
from retrainer.engine.runs import downstream
from retrainer.engine.schedules import every_key, fan_out
from retrainer.event import Event
from retrainer.rules.triggers.data import CompiledData
from retrainer.rules.triggers.metric import CompiledMetric
from retrainer.sources.base import Batch
from tests.unit.engine.faults import InjectedError, concerns
from tests.unit.engine.kit import START, Make, data, end, event, state

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIFT = {"m": {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.5, "jitter": "0s"}}}
WANTED = {"at_least": {"events": 1}, "where": "event.data.n > 0", "distinct_by": "event.data.n"}
PER_KEY = {"by": {"d": "event.data.k", "m": "event.data.metric"}}
GOOD = {"name": "good", "triggers": {**data(**WANTED), **DRIFT}}
BAD = {**GOOD, "name": "bad", "for_each": PER_KEY}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def breaks(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Make a function or method raise for arguments that belong to the rule `bad`."""
    real = getattr(owner, name)

    def raising(*given: Any, **named: Any) -> Any:
        if any(concerns(each) for each in given):
            raise InjectedError(name)
        return real(*given, **named)

    monkeypatch.setattr(owner, name, raising)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        pytest.param(CompiledData, "wants", id="its where"),
        pytest.param(CompiledData, "key", id="its key"),
        pytest.param(CompiledData, "measure", id="its rows"),
        pytest.param(CompiledData, "distinct_value", id="what it counts once"),
        pytest.param(matching, "too_many", id="whether it has room for a key"),
        pytest.param(States, "entry", id="its state"),
    ],
)
def test_an_event_of_which_one_rule_cannot_tell_what_it_is_counts_for_the_others(
    make: Make, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    bench = make(BAD, GOOD)
    breaks(monkeypatch, owner, name)
    assert bench.deliver([event(1, n=1, k="x")]) == ["matched"]
    assert [row[0] for row in bench.query("SELECT rule FROM runs")] == ["good"]
    assert [tuple(row) for row in bench.query("SELECT reason, rule FROM dead_letters")] == [("raised", "bad")]
    monkeypatch.undo()
    assert bench.act(lambda tx: operator_commands.replay_dead_letters(tx, [1]))["replayed"] == 1
    assert sorted(row[0] for row in bench.query("SELECT rule FROM runs")) == ["bad", "good"]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        pytest.param(CompiledMetric, "sample", id="its value"),
        pytest.param(samples, "_key", id="its key"),
        pytest.param(samples, "too_many", id="whether it has room for a key"),
        pytest.param(samples, "_addressed", id="whom it concerns"),
    ],
)
def test_a_value_that_one_rule_cannot_read_counts_for_the_others(
    make: Make, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    bench = make(BAD, GOOD)
    breaks(monkeypatch, owner, name)
    psi = Event("push", "m1", "t", START, {"metric": "psi", "value": 0.9, "labels": {}, "n": 0})
    assert bench.deliver([psi]) == ["matched"]
    assert [row[0] for row in bench.query("SELECT rule FROM runs")] == ["good"]
    assert [tuple(row) for row in bench.query("SELECT reason, rule FROM dead_letters")] == [("raised", "bad")]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        pytest.param(samples, "_followed", id="which keys had series before"),
        pytest.param(every_key, "_on_its_way", id="whether earlier values are on their way"),
    ],
)
def test_an_answer_to_a_query_that_one_rule_cannot_read_counts_for_the_others(
    make: Make, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    asked = {"m": {"metric": {"source": "topic", "expr": "psi", "above": 0.5, "jitter": "0s"}}}
    rule = {"triggers": asked, "for_each": {"by": {"m": "event.data.labels.model"}}}
    bench = make({"name": "bad", **rule}, {"name": "good", **rule})
    breaks(monkeypatch, owner, name)
    series = [{"labels": {"model": model}, "value": 0.9, "time": START} for model in "ab"]
    answer = Event("topic", "q1", samples.QUERY, START, {"expr": "psi", "series": series})
    assert bench.deliver_all([Batch("topic", [answer], identity_window=0.0)]) == [["matched"]]
    assert [row[0] for row in bench.query("SELECT rule FROM runs")] == ["good", "good"]
    assert [tuple(row) for row in bench.query("SELECT reason, rule FROM dead_letters")] == [("raised", "bad")]


def test_a_rule_that_cannot_tell_whether_it_follows_a_run_leaves_the_rule_of_the_run_alone(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = {"triggers": {"u": {"after": {"rule": "first"}}}}
    bench = make({"name": "first", "triggers": data()}, {"name": "bad", **after}, {"name": "good", **after})
    bench.deliver([event(1)])
    breaks(monkeypatch, downstream, "_as_wanted")
    (run,) = end(bench)
    assert state(bench, "first").quarantine is None
    assert bench.query(f"SELECT phase FROM runs WHERE id = '{run.id}'")[0][0] == "SUCCEEDED"
    assert [row[0] for row in bench.query("SELECT rule FROM runs WHERE trigger = 'u'")] == ["good"]


def test_a_slot_that_cannot_even_be_spoken_to_keys_does_not_block_those_behind_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hourly = {"n": {"schedule": {"cron": "0 * * * *", "jitter": "0s"}}}
    keyed = {"triggers": {**data(at_least={"events": 9}), **hourly}, "for_each": {"by": {"d": "event.data.k"}}}
    bench = make({"name": "bad", **keyed}, {"name": "good", **keyed})
    bench.deliver([event(1, k="x")])
    breaks(monkeypatch, fan_out, "_go_on")
    bench.tick(3600)
    assert [row[0] for row in bench.query("SELECT rule FROM runs")] == ["good"]
    assert bench.query("SELECT count(*) FROM fan_outs")[0][0] == 0
    assert bench.engine.failing_since is None
