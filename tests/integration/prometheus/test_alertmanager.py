"""A real alert: evaluated by Prometheus, routed by Alertmanager, repeated, resolved. Servers are killed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.prometheus.monitored_engine import fires
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.prometheus.monitored_engine import MonitoredEngine
    from tests.integration.prometheus.monitoring import Monitoring, Target

FIRING, RESOLVED = "alertmanager.firing", "alertmanager.resolved"


def test_an_alert_fires_is_repeated_and_resolved(house: MonitoredEngine, target: Target, model: str) -> None:
    gauge = target.psi.labels(model, "age")
    house.begin(fires(model))
    gauge.set(0.3)
    until(lambda: house.runs() == 1, "a run")
    house.hears_again(model)
    assert [kind for kind, _ in house.alerts(model)] == [FIRING]
    gauge.set(0.05)
    until(lambda: len(house.alerts(model)) == 2, "it is resolved")
    assert [kind for kind, _ in house.alerts(model)] == [FIRING, RESOLVED]
    assert house.runs() == 1
    gauge.set(0.3)
    until(lambda: house.runs() == 2, "another run")
    (_, first), _, (_, second) = house.alerts(model)
    assert first < second
    assert house.errors() == []


def test_an_alert_waits_for_who_is_not_there(
    house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring
) -> None:
    target.psi.labels(model, "age").set(0.3)
    until(lambda: monitoring.alerts(model), "Alertmanager has it, and nobody to tell")
    house.begin(fires(model))
    until(lambda: house.runs() == 1, "a run")


def test_a_prometheus_that_is_killed_and_started(
    house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring
) -> None:
    target.psi.labels(model, "age").set(0.3)
    house.begin(fires(model))
    until(lambda: house.runs() == 1, "a run")
    monitoring.call("kill", "prometheus")
    monitoring.call("start", "prometheus")
    house.hears_again(model)
    assert house.runs() == 1


def test_an_alertmanager_that_is_killed_and_started(
    house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring
) -> None:
    gauge = target.psi.labels(model, "age")
    gauge.set(0.3)
    house.begin(fires(model))
    until(lambda: house.runs() == 1, "a run")
    monitoring.call("kill", "alertmanager")
    monitoring.call("start", "alertmanager")
    house.hears_again(model)
    assert house.runs() == 1
    gauge.set(0.05)
    until(lambda: house.alerts(model)[-1][0] == RESOLVED, "it is resolved")


def test_a_prometheus_that_is_silent_for_too_long(
    house: MonitoredEngine, target: Target, model: str, monitoring: Monitoring
) -> None:
    """Alertmanager treats the alert as resolved. When Prometheus reports it again, it is still the same alert."""
    target.psi.labels(model, "age").set(0.3)
    house.begin(fires(model))
    until(lambda: house.runs() == 1, "a run")
    monitoring.call("freeze", "prometheus")
    until(lambda: house.alerts(model)[-1][0] == RESOLVED, "it is taken for resolved", timeout=60)
    monitoring.call("thaw", "prometheus")
    until(lambda: house.alerts(model)[-1][0] == FIRING, "it fires again", timeout=60)
    until(lambda: house.runs() == 2, "which is a crossing like any other")
