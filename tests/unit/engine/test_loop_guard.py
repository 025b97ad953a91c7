"""Data that a run of the rule wrote does not trigger the rule again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.api import audit
from retrainer.event import Event
from retrainer.store.search import EventQuery
from tests.unit.engine.kit import START, data, end, start, state

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

EACH = data()


def wrote(run: str, number: int, carrier: str = "attribute", **facts: Any) -> Event:
    """An event with the id of a run, as one of the transports carries it."""
    if carrier == "attribute":
        return Event("push", f"w{number}", "t", START, facts, attributes={"retrainerrun": run})
    record = {"topic": "t", "partition": 0, "offset": number, "headers": {"retrainer-run": run}}
    return Event("push", f"w{number}", "t", START, facts, record=record)


def plain(number: int, **facts: Any) -> Event:
    return Event("push", f"e{number}", "t", START, facts)


def runs(bench: DrivenEngine) -> list[str]:
    return [row[0] for row in bench.query("SELECT id FROM runs ORDER BY id")]


@pytest.mark.parametrize("carrier", ["attribute", "kafka header"])
def test_a_rule_that_writes_what_it_reads_comes_to_rest(make: Any, carrier: str) -> None:
    bench = make({"triggers": EACH})
    bench.deliver([plain(1)])
    for number in range(5):  # each run writes an object, and each object is reported
        for run in end(bench):
            assert bench.deliver([wrote(run.id, number, carrier)]) == ["filtered"]
    assert len(runs(bench)) == 1
    assert state(bench).window.events == 0


def test_without_the_guard_it_goes_on_for_ever(make: Any) -> None:
    bench = make({"triggers": data(ignore_own_outputs=False)})
    bench.deliver([plain(1)])
    for number in range(5):
        for run in end(bench):
            assert bench.deliver([wrote(run.id, number)]) == ["matched"]
    assert len(runs(bench)) == 6


def test_what_a_run_writes_while_it_runs_is_not_counted_either(make: Any) -> None:
    bench = make({"triggers": EACH})
    bench.deliver([plain(1)])
    (run,) = start(bench)
    assert bench.deliver([wrote(run.id, 1)]) == ["filtered"]
    assert state(bench).window.events == 0


def test_another_rule_takes_what_the_run_wrote(make: Any) -> None:
    bench = make({"name": "features", "triggers": data({"kind": "raw"})}, {"name": "churn", "triggers": EACH})
    bench.deliver([plain(1, kind="raw")])
    of = dict(bench.query("SELECT rule, id FROM runs"))
    bench.deliver([wrote(of["features"], 1, kind="features")])
    assert state(bench, "churn").window.events == 1
    assert state(bench, "features").window.events == 0


def test_a_run_that_nobody_knows_is_no_reason_to_let_data_pass(make: Any) -> None:
    bench = make({"triggers": EACH})
    assert bench.deliver([wrote("01JNOBODYKNOWSTHISRUNATALL", 1)]) == ["matched"]


@pytest.mark.parametrize(
    ("key", "outcome"),
    [
        pytest.param("churn/models/a.onnx", "filtered", id="where its runs write"),
        pytest.param("churn/day/a.parquet", "matched", id="anywhere else"),
    ],
)
def test_a_place_is_ignored_whoever_wrote_there(make: Any, key: str, outcome: str) -> None:
    bench = make({"triggers": data({"key": "churn/**"}, ignore_own_outputs={"key": "*/models/**"})})
    assert bench.deliver([plain(1, key=key)]) == [outcome]


def test_beside_a_place_the_id_of_a_run_still_counts(make: Any) -> None:
    bench = make({"triggers": data(ignore_own_outputs={"key": "models/**"})})
    bench.deliver([plain(1, key="day/a")])
    assert bench.deliver([wrote(runs(bench)[0], 2, key="day/b")]) == ["filtered"]


def test_it_holds_over_keys(make: Any) -> None:
    by = {"for_each": {"by": {"d": "event.data.customer"}}}
    bench = make({"triggers": EACH, **by})
    bench.deliver([plain(1, customer="acme")])
    assert bench.deliver([wrote(runs(bench)[0], 2, customer="other")]) == ["filtered"]
    assert bench.query("SELECT count(*) FROM states WHERE key = 'other'") == [(0,)]


def test_where_it_was_let_pass_and_why_can_be_asked_later(make: Any) -> None:
    bench = make({"name": "churn", "triggers": data({"model": "churn"})})
    bench.deliver([plain(1, model="churn")])
    (run,) = runs(bench)
    bench.deliver([wrote(run, 2, model="churn")])
    rules = list(bench.engine.catalog.rules.values())
    (found,) = audit.find(bench.store, rules, EventQuery("w2")).items
    assert [(e["rule"], e["outcome"], e["detail"]) for e in found["effects"]] == [
        ("churn", "missed", f"d: its own output: written by run {run} of this rule")
    ]
