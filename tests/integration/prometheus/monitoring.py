"""A real Prometheus, a real Alertmanager, and a target whose gauges the test sets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import yaml
from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = Path(__file__).parents[1] / "servers" / "prometheus.sh"
CACHE = Path(os.environ.get("PROMETHEUS_DIR", Path.home() / ".cache" / "retrainer-prometheus"))
TOKEN = "alerts-token"
RESEND = 3
"""Seconds. Prometheus treats an alert as ended four times as long after it last reported the alert."""


class Target:
    """Exposes `feature_psi{model, feature}` and `push_time_seconds{job}`. A series exists once it is set."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.psi = Gauge("feature_psi", "Drift.", ["model", "feature"], registry=registry)
        self.pushed = Gauge("push_time_seconds", "As a Pushgateway has it.", ["model"], registry=registry)
        self._server = make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=_Quiet)
        self.port: int = self._server.server_port
        self.serve, self.stop = self._server.serve_forever, self._stop

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


class Monitoring:
    """Both servers, on two ports from `port` on. Alerts are sent to `webhook` with a token."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.folder = CACHE / f"run-{port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, target: int, webhook: str) -> None:
        self.call("build")
        self.call("down")
        self.write("prometheus.yml", prometheus_config(target, self.port + 1))
        self.write("rules.yml", ALERTS)
        self.write("alertmanager.yml", alertmanager_config(webhook))

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(yaml.safe_dump(dict(content)))

    def call(self, *command: str) -> None:
        """Run a command of prometheus.sh: `up`, `kill prometheus`, …"""
        env = {**os.environ, "PROMETHEUS_PORT": str(self.port), "PROMETHEUS_RESEND": f"{RESEND}s"}
        done = subprocess.run([SCRIPT, *command], env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"prometheus.sh {command}: {done.stdout}{done.stderr}"

    def knows(self, model: str) -> bool:
        """Whether Prometheus has a series of this model."""
        form = {"query": f'feature_psi{{model="{model}"}}'}
        return bool(httpx.post(f"{self.url}/api/v1/query", data=form, trust_env=False).json()["data"]["result"])

    def asked(self) -> int:
        """The number of instant queries that Prometheus has counted."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        lines = [line for line in text.splitlines() if 'handler="/api/v1/query"' in line]
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("prometheus_http_requests_total"))

    def alerts(self, model: str) -> list[dict[str, Any]]:
        """The alerts of a model in Alertmanager."""
        url = f"http://127.0.0.1:{self.port + 1}/api/v2/alerts"
        found: list[dict[str, Any]] = httpx.get(url, params={"filter": f'model="{model}"'}, trust_env=False).json()
        return found


def prometheus_config(target: int, alertmanager: int) -> dict[str, Any]:
    def at(port: int) -> list[dict[str, Any]]:
        return [{"targets": [f"127.0.0.1:{port}"]}]

    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "models", "static_configs": at(target)}],
        "alerting": {"alertmanagers": [{"static_configs": at(alertmanager)}]},
    }


ALERTS: dict[str, Any] = {
    "groups": [
        {
            "name": "models",
            "rules": [
                {
                    "alert": "ModelDrift",
                    "expr": "max by (model) (feature_psi) > 0.2",
                    "labels": {"severity": "page"},
                    "annotations": {"summary": "{{ $labels.model }} drifts: {{ $value }}"},
                }
            ],
        }
    ]
}


def alertmanager_config(webhook: str) -> dict[str, Any]:
    """A configuration without grouping delays and with the shortest repeat interval."""
    receiver = {
        "name": "retrainer",
        "webhook_configs": [
            {"url": webhook, "http_config": {"authorization": {"credentials": TOKEN}}, "send_resolved": True}
        ],
    }
    timing = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1s"}
    return {"route": {"receiver": "retrainer", "group_by": ["alertname", "model"], **timing}, "receivers": [receiver]}
