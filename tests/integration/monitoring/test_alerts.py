"""The alerts: their unit tests, on a real Prometheus, and their states in a real Alertmanager."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import yaml

from tests.integration.monitoring.scene import ALERTS, ROOT
from tests.integration.prometheus.monitoring import CACHE
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.monitoring.scene import Scene

TESTS = sorted((ROOT / "deploy/monitoring/tests").glob("*.yaml"))


RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def promtool() -> str:
    return shutil.which("promtool") or str(CACHE / "usr/bin/promtool")


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in TESTS])
def test_each_fires_when_it_should_and_only_then(scene: Scene, path: Path) -> None:
    done = subprocess.run([promtool(), "test", "rules", path], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_and_units_are_as_prometheus_wants_them(scene: Scene) -> None:
    text = scene.daemon.http.get("/metrics").text
    done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_each_is_evaluated_on_a_real_daemons_metrics(scene: Scene) -> None:
    def settled() -> bool:
        return all(rule["health"] == "ok" for rule in scene.evaluated().values())

    until(settled, "each was looked at, and none of them is in error", 60)
    assert set(scene.evaluated()) == {rule.get("alert") or rule["record"] for rule in RULES}


def test_what_is_wrong_fires_with_the_rules_own_labels(scene: Scene) -> None:
    until(lambda: "RetrainerRuleStopped" in scene.firing(), "the rule's circuit breaker is noticed", 60)
    (stopped,) = scene.firing()["RetrainerRuleStopped"]
    wanted = {"rule": "basket", "team": "shop", "severity": "critical", "namespace": "ml", "scope": "rule"}
    assert wanted.items() <= stopped["labels"].items()
    assert stopped["annotations"]["summary"] == "Rule basket starts no more runs"
    until(lambda: "RetrainerDeadLetters" in scene.firing(), "the dead letter is noticed", 60)
    (letters,) = scene.firing()["RetrainerDeadLetters"]
    assert letters["labels"]["source"] == "push"
    assert "RetrainerRuleNotSucceeded" not in scene.firing()
    assert "RetrainerDown" not in scene.firing()


REPLICAS = [
    "RetrainerBackupTooOld",
    "RetrainerCertificateExpires",
    "RetrainerLatencyBurnsFast",
    "RetrainerLatencyBurnsSlowly",
    "RetrainerParametersFailed",
    "RetrainerReplicaDown",
    "RetrainerRestarting",
    "RetrainerRuleStopped",
    "RetrainerSourceBehind",
    "RetrainerSubmitRefused",
    "RetrainerSuccessBurnsFast",
    "RetrainerSuccessBurnsSlowly",
]


def test_what_is_wrong_with_three_replicas_fires_once_for_all_of_them(scene: Scene) -> None:
    until(lambda: sorted(scene.firing("lab")) == REPLICAS, f"{REPLICAS}, but {sorted(scene.firing('lab'))}", 120)
    firing = scene.firing("lab")
    assert {name: len(alerts) for name, alerts in firing.items()} == dict.fromkeys(REPLICAS, 1)
    assert {alert["labels"]["job"] for (alert,) in firing.values()} == {"replicas"}
    assert firing["RetrainerRuleStopped"][0]["labels"]["team"] == "new", "the leader has read the edited label"
    assert firing["RetrainerLatencyBurnsFast"][0]["labels"]["severity"] == "critical"


def test_every_other_alert_fires_for_one_process_that_has_it_all(scene: Scene) -> None:
    elsewhere = {name for name in REPLICAS if "Burns" not in name}
    never = {"RetrainerDown", "RetrainerNotScraped"}  # the next test, and where there is nothing to scrape at all
    wanted = {rule["alert"] for rule in RULES if "alert" in rule} - elsewhere - never
    until(lambda: set(scene.firing("sick")) == wanted, f"{wanted ^ set(scene.firing('sick'))} differ", 120)
    (old,) = scene.firing("sick")["RetrainerModelTooOld"]
    assert (old["labels"]["team"], old["labels"]["severity"]) == ("growth", "page")
    until(lambda: set(scene.states("sick")) == wanted, "all of them reach Alertmanager", 60)


def test_a_service_that_is_no_longer_there_is_down(scene: Scene) -> None:
    until(lambda: scene.labels("job", 'retrainer_build_info{namespace="gone"}'), "it was scraped once", 60)
    assert scene.firing("gone") == {}
    scene.alone["gone"].close()
    until(lambda: set(scene.firing("gone")) == {"RetrainerDown"}, "it is noticed", 60)
    until(lambda: scene.states("gone") == {"RetrainerDown": "active"}, "it reaches Alertmanager", 60)


def test_a_refusal_of_one_rule_silences_no_other_on_the_way_from_prometheus(scene: Scene) -> None:
    suppressed = {"RetrainerLatencyBurnsSlowly", "RetrainerSuccessBurnsSlowly"}
    wanted = {name: "suppressed" if name in suppressed else "active" for name in REPLICAS}
    until(lambda: scene.states("lab") == wanted, f"{wanted}, but {scene.states('lab')}", 60)


def test_the_cause_silences_what_follows_from_it_on_the_way_from_prometheus(scene: Scene) -> None:
    wanted = {"RetrainerRuleStopped": "active", "RetrainerRunsFailing": "suppressed", "RetrainerDeadLetters": "active"}
    until(lambda: wanted.items() <= scene.states("ml").items(), "the stopped rule says why it fails", 60)


DOWN = {"alertname": "RetrainerDown", "scope": "service", "severity": "critical"}
ERRORS = {"alertname": "RetrainerSubmitErrors", "scope": "service", "severity": "critical"}
FULL = {"alertname": "RetrainerStoreNearlyFull", "scope": "service", "severity": "warning"}
REFUSED = {"alertname": "RetrainerSubmitRefused", "scope": "service", "severity": "warning", "code": "403"}
FAILING = {"alertname": "RetrainerRunsFailing", "scope": "rule", "severity": "page", "rule": "churn"}
PARAMETERS = {"alertname": "RetrainerParametersFailed", "scope": "rule", "severity": "page", "rule": "churn"}
FAST = {"alertname": "RetrainerLatencyBurnsFast", "scope": "service", "severity": "critical", "stage": "engine"}
SLOWLY = {"alertname": "RetrainerLatencyBurnsSlowly", "scope": "service", "severity": "warning", "stage": "engine"}
RESTARTING = {"alertname": "RetrainerRestarting", "scope": "service", "severity": "critical"}
LATE = {"alertname": "RetrainerRuleNotSucceeded", "scope": "rule", "severity": "page", "rule": "churn"}
SILENT = {"alertname": "RetrainerSourceSilent", "scope": "source", "severity": "warning", "source": "orders"}
LOST = {"alertname": "RetrainerSourceDown", "scope": "source", "severity": "warning", "source": "orders"}
OTHER = {"alertname": "RetrainerSourceDown", "scope": "source", "severity": "warning", "source": "lake"}
THEIRS = {"alertname": "DiskFull", "scope": "rule", "severity": "page"}
"""An alert of another system that also has a label `scope`."""


@pytest.mark.parametrize(
    ("cause", "other", "state"),
    [
        pytest.param(DOWN, LATE, "suppressed", id="a service that is down, and a rule"),
        pytest.param(DOWN, SILENT, "suppressed", id="a service that is down, and a source"),
        pytest.param(ERRORS, LATE, "suppressed", id="Workflows that cannot be created, and a rule"),
        pytest.param(ERRORS, SILENT, "active", id="Workflows that cannot be created, and a source"),
        pytest.param(ERRORS, FAILING, "active", id="Workflows that cannot be created, and a rule whose runs fail"),
        pytest.param(REFUSED, LATE, "active", id="one rule that is refused does not silence another"),
        pytest.param(RESTARTING, FAILING, "active", id="a restart silences no rule"),
        pytest.param(PARAMETERS, LATE, "suppressed", id="a rule that cannot compute its parameters"),
        pytest.param(FAST, SLOWLY, "suppressed", id="a fast burn is a slow one too"),
        pytest.param(FAST, LATE, "active", id="late events silence no rule"),
        pytest.param(FULL, LATE, "active", id="a warning silences nothing"),
        pytest.param(LOST, SILENT, "suppressed", id="a source that cannot be reached is silent"),
        pytest.param(OTHER, SILENT, "active", id="that of another source does not matter"),
        pytest.param(DOWN, THEIRS, "active", id="alerts of others are left alone"),
    ],
)
def test_what_silences_what(scene: Scene, cause: dict[str, str], other: dict[str, str], state: str) -> None:
    namespace = f"n-{uuid4().hex[:8]}"
    scene.raise_alerts(*({**alert, "namespace": namespace} for alert in (cause, other)))
    wanted = {cause["alertname"]: "active", other["alertname"]: state}
    until(lambda: scene.states(namespace) == wanted, f"{wanted}, but {scene.states(namespace)}", 30)


@pytest.mark.parametrize("label", ["cluster", "job"])
def test_another_installation_does_not_matter(scene: Scene, label: str) -> None:
    namespace = f"n-{uuid4().hex[:8]}"
    one = {"cluster": "eu", "namespace": namespace, "job": "a"}
    scene.raise_alerts({**DOWN, **one}, {**LATE, **one, label: "other"})
    wanted = {DOWN["alertname"]: "active", LATE["alertname"]: "active"}
    until(lambda: scene.states(namespace) == wanted, "both are active", 30)


def test_another_namespace_does_not_matter(scene: Scene) -> None:
    here, there = f"n-{uuid4().hex[:8]}", f"n-{uuid4().hex[:8]}"
    scene.raise_alerts({**DOWN, "namespace": here}, {**LATE, "namespace": there})
    until(lambda: scene.states(there) == {LATE["alertname"]: "active"}, "it is told", 30)
