"""A release that reads a real Kafka and polls a real Prometheus, which also scrapes it. Both run on the node."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from kafka import KafkaProducer

from .conftest import until
from .release import Release, config_map

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / "tests" / "integration" / "servers"
NODE = "10.97.0.1"
"""The machine's address for pods."""
KAFKA, PROMETHEUS = 19492, 19690
ENVIRONMENT = {"KAFKA_HOST": NODE, "KAFKA_PORT": KAFKA, "PROMETHEUS_HOST": NODE, "PROMETHEUS_PORT": PROMETHEUS}

SOURCES = f"""
version: 1
sources:
  features:
    {{type: kafka, bootstrap_servers: ["{NODE}:{KAFKA}"], topics: [features], group_id: retrainer, start: earliest}}
  drift: {{type: prometheus, url: "http://{NODE}:{PROMETHEUS}", polling_interval: 1s}}
"""
RULES = """
version: 1
rules:
  - name: on-record
    triggers: {arrived: {data: {source: features, match: {model: churn}}}}
    submit: {workflow_template: train}
  - name: on-drift
    triggers: {drifts: {metric: {source: drift, expr: feature_psi, above: 0.2, clear: 0.1, jitter: 0s}}}
    submit: {workflow_template: train}
"""


class Gauge(ThreadingHTTPServer):
    """The metric of a monitoring job: the drift of the features."""

    daemon_threads = True

    def __init__(self) -> None:
        self.value = 0.05
        super().__init__(("127.0.0.1", 0), Exporter)


class Exporter(BaseHTTPRequestHandler):
    server: Gauge

    def do_GET(self) -> None:
        text = f"# TYPE feature_psi gauge\nfeature_psi {self.server.value}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None: ...


def call(script: str, *arguments: str) -> None:
    environment = {**os.environ, **{name: str(value) for name, value in ENVIRONMENT.items()}}
    # Not captured: the started server would keep the pipe open.
    command = [str(SERVERS / script), *arguments]
    subprocess.run(command, env=environment, check=True, timeout=150, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def kafka() -> Iterator[None]:
    call("kafka.sh", "up")
    yield
    call("kafka.sh", "down")


@pytest.fixture(scope="module")
def gauge() -> Iterator[Gauge]:
    with Gauge() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def release(platform: str, team: str, kafka: None) -> Iterator[Release]:
    config_map(team, "models", RULES)
    installed = Release(platform, watchedNamespaces={team: {"rules": True}}, rules={"sources": SOURCES})
    installed.install()
    yield installed
    installed.uninstall()


@pytest.fixture(scope="module")
def prometheus(release: Release, gauge: Gauge) -> Iterator[httpx.Client]:
    """Prometheus with the alerts of deploy/monitoring, with `for: 0s`."""
    call("prometheus.sh", "build")
    folder = (
        Path(os.environ.get("PROMETHEUS_DIR", Path.home() / ".cache" / "retrainer-prometheus")) / f"run-{PROMETHEUS}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    alerts = (ROOT / "deploy" / "monitoring" / "alerts.yaml").read_text()
    (folder / "alerts.yaml").write_text(re.sub(r"for: \w+", "for: 0s", alerts))
    scraped = {
        "gauge": f"127.0.0.1:{gauge.server_port}",
        "retrainer": f"{release.pod['status']['podIP']}:8080",
    }
    jobs = [{"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in scraped.items()]
    throttle = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": throttle, "rule_files": ["alerts.yaml"], "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    call("prometheus.sh", "ensure", "prometheus")
    with httpx.Client(base_url=f"http://{NODE}:{PROMETHEUS}", timeout=10.0, trust_env=False) as client:
        yield client
    call("prometheus.sh", "down")


def ask(prometheus: httpx.Client, expr: str) -> list[dict[str, Any]]:
    found = prometheus.get("/api/v1/query", params={"query": expr}).raise_for_status().json()
    return list(found["data"]["result"])


def test_a_record_in_kafka_starts_its_rule(release: Release, kafka: None) -> None:
    producer = KafkaProducer(bootstrap_servers=f"{NODE}:{KAFKA}", client_id="test")
    producer.send("features", json.dumps({"model": "churn"}).encode()).get(30)
    producer.close()
    release.succeeded("on-record")


def test_drift_in_prometheus_starts_its_rule(release: Release, prometheus: httpx.Client, gauge: Gauge) -> None:
    until(lambda: ask(prometheus, "feature_psi < 0.1"))
    assert release.runs("on-drift") == []
    gauge.value = 0.31
    release.succeeded("on-drift")


def test_prometheus_has_the_metrics_of_runs(release: Release, prometheus: httpx.Client) -> None:
    release.succeeded("on-drift")
    until(lambda: ask(prometheus, 'retrainer_runs_total{rule="on-drift", phase="SUCCEEDED"} == 1'))


def test_a_broken_config_map_raises_its_alert(release: Release, team: str, prometheus: httpx.Client) -> None:
    config_map(team, "models", RULES + "nonsense: true\n")
    until(lambda: ask(prometheus, 'ALERTS{alertname="RetrainerReloadFailed", alertstate="firing"}'))
    assert release.rules() == {"on-record", "on-drift"}
    config_map(team, "models", RULES)
    until(lambda: not ask(prometheus, 'ALERTS{alertname="RetrainerReloadFailed"}'))
