"""A real gauge, scraped and polled: it crosses, clears and vanishes, and Prometheus is killed in between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.prometheus.monitored_engine import drifts
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.prometheus.monitored_engine import MonitoredEngine
    from tests.integration.prometheus.monitoring import Monitoring, Target


def test_a_gauge_starts_one_run_each_time_it_crosses(house: MonitoredEngine, target: Target, model: str) -> None:
    gauge = target.psi.labels(model, "age")
    gauge.set(0.05)
    house.begin(drifts(model))
    for crossing in (1, 2):
        gauge.set(0.3)
        until(lambda n=crossing: house.runs() == n, "a run")  # type: ignore[misc]
        for value in (0.15, 0.4, 0.19, 0.3):  # not cleared: the clear value is 0.1
            gauge.set(value)
            until(lambda v=value: house.values(model) == [v], f"{value} is seen")  # type: ignore[misc]
        gauge.set(0.1)
        until(lambda: house.values(model) == [0.1], "it has cleared")
        assert house.runs() == crossing


def test_it_must_stay_crossed_for_so_long(house: MonitoredEngine, target: Target, model: str) -> None:
    gauge = target.psi.labels(model, "age")
    gauge.set(0.3)
    house.begin(drifts(model, name="patient", **{"for": "1h"}), drifts(model))
    until(lambda: house.runs() == 1, "a run of the other")
    house.looks()
    assert house.runs("patient") == 0


def test_it_takes_so_many_series(house: MonitoredEngine, target: Target, model: str) -> None:
    for feature in ("age", "income", "city"):
        target.psi.labels(model, feature).set(0.05)
    house.begin(drifts(model, at_least={"series": 2}))
    target.psi.labels(model, "age").set(0.3)
    until(lambda: sorted(house.values(model)) == [0.05, 0.05, 0.3], "one has crossed")
    assert house.runs() == 0
    target.psi.labels(model, "city").set(0.3)
    until(lambda: house.runs() == 1, "a run")


@pytest.mark.parametrize("value", [pytest.param("NaN", id="NaN"), pytest.param("Inf", id="infinite")])
def test_what_is_no_number_decides_nothing(house: MonitoredEngine, target: Target, model: str, value: str) -> None:
    target.psi.labels(model, "age").set(float(value))
    house.begin(drifts(model))
    until(lambda: house.values(model) == [None], "it is seen")
    house.looks()
    assert house.runs() == 0


def test_a_gauge_that_vanishes_and_comes_back(
    house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring
) -> None:
    target.psi.labels(model, "age").set(0.3)
    until(lambda: monitoring.knows(model), "it is scraped")
    house.begin(drifts(model), drifts(model, name="worried", no_data="fire", **{"for": "3s"}))
    until(lambda: house.runs() == 1, "a run")
    target.psi.remove(model, "age")
    until(lambda: house.values(model) == [], "it has vanished")
    house.looks()
    target.psi.labels(model, "age").set(0.3)
    until(lambda: house.values(model) == [0.3], "it is back")
    house.looks()
    assert house.runs() == 1, "it has not cleared"
    assert house.runs("worried") == 1


def test_a_rule_may_fire_because_a_gauge_is_not_there(
    house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring
) -> None:
    target.psi.labels(model, "age").set(0.05)
    until(lambda: monitoring.knows(model), "it is scraped")
    house.begin(drifts(model, name="worried", no_data="fire"), drifts(model))
    until(lambda: house.values(model) == [0.05], "it is seen")
    assert house.runs("worried") == 0
    target.psi.remove(model, "age")
    until(lambda: house.runs("worried") == 1, "a run")
    house.looks()
    assert (house.runs("worried"), house.runs()) == (1, 0)


def test_a_prometheus_that_is_killed(
    house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring
) -> None:
    gauge = target.psi.labels(model, "age")
    gauge.set(0.05)
    house.begin(drifts(model))
    until(lambda: house.values(model) == [0.05], "it is seen")
    monitoring.call("kill", "prometheus")
    until(lambda: "cannot be reached" in str(house.prometheus.last_error), "the source says so")
    house.looks()
    assert all(told["series"] == [] for told in house.answers()[-3:])
    assert house.runs() == 0
    gauge.set(0.3)  # not scraped yet
    monitoring.call("start", "prometheus")
    until(lambda: house.runs() == 1, "a run once it is back")
    monitoring.call("kill", "prometheus")
    house.looks()
    monitoring.call("start", "prometheus")
    until(lambda: house.values(model) == [0.3], "it is back")
    house.looks()
    assert house.runs() == 1, "it has not cleared meanwhile"
    assert house.prometheus.last_error is None


def test_rules_share_a_question(house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring) -> None:
    target.psi.labels(model, "age").set(0.3)
    before = monitoring.asked()
    house.begin(*(drifts(model, name=f"rule-{n}", match={"model": "nobody"}) for n in range(20)), drifts(model))
    until(lambda: house.runs() == 1, "a run")
    house.stop_sources()
    assert monitoring.asked() - before == len(house.answers())


def test_a_sample_is_as_old_as_its_push(house: MonitoredEngine, target: Target, model: str) -> None:
    target.psi.labels(model, "age").set(0.3)
    target.pushed.labels(model).set(time.time() - 7200)
    pushed = {"sample_time": "push_time_seconds", "max_sample_age": "1h"}
    house.begin(drifts(model, **pushed))
    until(lambda: house.values(model) == [0.3], "it is seen")
    house.looks()
    assert house.runs() == 0, "an old value is no data, however often it is told"
    target.pushed.labels(model).set(time.time())
    until(lambda: house.runs() == 1, "a run")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        pytest.param({"expr": "feature_psi{"}, "bad_data: ", id="an expression that does not parse"),
        pytest.param({"expr": "feature_psi[5m]"}, "matrix", id="one that gives ranges"),
        pytest.param({"expr": "'drift'"}, "it returns a string", id="one that gives a text"),
        pytest.param({"sample_time": "push_time_seconds{"}, "push_time_seconds{: bad_data", id="a sample_time"),
    ],
)
def test_an_expression_that_cannot_be_answered(
    house: MonitoredEngine, target: Target, model: str, wrong: dict[str, Any], error: str
) -> None:
    target.psi.labels(model, "age").set(0.3)
    house.begin(drifts(model, name="wrong", **wrong), drifts(model, **{"for": "2s"}))
    until(lambda: house.runs() == 1, "a run of the right one")
    told = [answer for answer in house.answers(wrong.get("expr", "feature_psi")) if answer["error"]]
    assert told
    assert error in told[-1]["error"]
    assert told[-1]["series"] == []
    assert house.runs("wrong") == 0
    assert error in house.prometheus.last_error


def test_more_series_than_wanted_are_no_answer(house: MonitoredEngine, target: Target, model: str) -> None:
    for n in range(3):
        target.psi.labels(model, str(n)).set(0.3)
    house.begin(drifts(model), max_series=2)
    until(lambda: "at most 2 are allowed" in str(house.prometheus.last_error), "the source says so")
    assert house.runs() == 0
