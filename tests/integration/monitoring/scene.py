"""A busy daemon, a real Prometheus that scrapes it and a real Alertmanager, to test dashboards and alerts."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.integration.monitoring.replicas import DEAD, JOB, LABELS, Process, Replica, Sick
from tests.integration.prometheus.monitoring import Monitoring
from tests.integration.s3.daemon import Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
ALERTS, INHIBITIONS = ROOT / "deploy/monitoring/alerts.yaml", ROOT / "deploy/monitoring/alertmanager.yaml"
VARIABLES = {
    "cluster": ".*",
    "namespace": "ml",
    "job": "retrainer",
    "rule": "churn",
    "__interval": "15s",
    "__rate_interval": "15s",
    "__range": "5m",
}
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: NAME}
spec:
  entrypoint: main
  templates:
    - name: main
      script: {image: "python:3.11", command: [python], source: SOURCE}
      outputs:
        parameters:
          - {name: auc, valueFrom: {path: /tmp/auc, default: "0"}}
          - {name: promoted, valueFrom: {path: /tmp/promoted, default: "false"}}
          - {name: gpu, valueFrom: {path: /tmp/gpu, default: "0"}}
"""
TRAINS = (
    "[open('/tmp/' + name, 'w').write(text) for name, text in dict(auc='0.93', promoted='true', gpu='1.5').items()]"
)
OUTPUTS = {
    "auc": {"parameter": "auc"},
    "gpu": {"parameter": "gpu"},
    "promoted": {"parameter": "promoted", "type": "boolean"},
}


def told(kind: str) -> dict[str, Any]:
    return {"data": {"source": "push", "match": {"kind": kind}, "batch": {"at_least": {"events": 1}}}}


CHURN = {
    "name": "churn",
    "labels": {"team": "growth", "severity": "page"},
    "triggers": {
        "asked": told("train"),
        "landed": {"data": {"source": "landing", "batch": {"at_least": {"events": 10**6}}}},
        "each_minute": {"schedule": {"cron": "* * * * *"}},
        "drift": {"metric": {"source": "prometheus", "expr": "vector(0.31)", "above": 0.2, "jitter": "0s"}},
        "old": {"freshness": {"max_age": "7d"}},
        "stale": {"freshness": {"max_age": "30d", "of": "promoted"}},
    },
    "limits": {"overlap": "allow_all", "budget": {"runs": 1000, "gpu_hours": 5000, "per": "1d"}},
    "cost": {"gpu_hours": "outputs.gpu"},
    "feedback": {"promoted": "outputs.promoted"},
    "submit": {"workflow_template": "trains", "outputs": OUTPUTS},
}
"""Has a trigger of each kind that a panel shows."""
BASKET = {
    "name": "basket",
    "labels": {"team": "shop", "severity": "critical"},
    "triggers": {"asked": told("break")},
    "limits": {"pause_after_failures": 3},
    "submit": {"workflow_template": "breaks"},
}
"""Its runs fail until its circuit breaker opens."""


class Scene:
    """``queue`` is an SQS queue at ``aws``. Call `close` at the end."""

    def __init__(self, folder: Path, port: int, aws: str, queue: str) -> None:
        self.folder, self.monitoring = folder, Monitoring(port)
        self.replicas = [Replica(number) for number in range(3)]
        self.alone = {"sick": Sick(), "gone": Process()}
        """Installations of one process each, by namespace."""
        sources = {
            "push": {"type": "webhook", "path": "/hooks/push", "max_silence": "1h"},
            "landing": {"type": "directory", "path": "landing", "polling_interval": "200ms", "settle": "200ms"},
            "gone": {"type": "directory", "path": "gone", "polling_interval": "500ms"},
            "lake": {"type": "s3", "via": {"sqs": {"queue_url": queue, "endpoint_url": aws, "region": "eu-central-1"}}},
            "prometheus": {"type": "prometheus", "url": self.monitoring.url, "polling_interval": "1s"},
        }
        self.daemon = Daemon(folder, aws, sources, [CHURN, BASKET])
        shared = {"budgets": {"growth": {"gpu_hours": 400, "per": "30d"}}}
        rules = json.loads((folder / "rules.yaml").read_text())
        (folder / "rules.yaml").write_text(json.dumps(rules | shared))
        for name, source in (("trains", TRAINS), ("breaks", "raise SystemExit(1)")):
            (folder / f"templates/{name}.yaml").write_text(
                TEMPLATE.replace("NAME", name).replace("SOURCE", f'"{source}"')
            )

    def begin(self) -> None:
        """Start all three, and cause one occurrence of each kind."""
        self.daemon.start()
        self.monitoring.call("build")
        self.monitoring.call("down")
        self.monitoring.write("prometheus.yml", self._prometheus())
        self.monitoring.write("alertmanager.yml", alertmanager())
        self.monitoring.call("up")
        counted = 'retrainer_events_dead_lettered_total{namespace="ml"}'  # not those of the made-up replicas
        until(lambda: self.labels("source", counted), "counters are scraped at zero")
        (self.folder / "landing").mkdir()
        (self.folder / "landing/a.csv").write_text("id\n1\n")
        for _ in range(3):
            self.post({"kind": "train"})
        self.post({"kind": "nobody wants this"})
        self.daemon.http.post("/hooks/push", content=b"no JSON", headers={"content-type": "application/json"})
        for failures in (1, 2, 3):
            self.post({"kind": "break"})
            until(lambda n=failures: self.failed() == n, "the run failed", 60)  # type: ignore[misc]

    def post(self, data: Mapping[str, Any]) -> None:
        assert self.daemon.http.post("/hooks/push", json=data).is_success

    def failed(self) -> int:
        return len(self.daemon.items("runs", rule="basket", phase="FAILED"))

    def _prometheus(self) -> dict[str, Any]:
        target = self.daemon.url.removeprefix("http://")
        job = {"job_name": "retrainer", "static_configs": [{"targets": [target], "labels": {"namespace": "ml"}}]}
        targets = [DEAD, *(replica.target for replica in self.replicas)]
        others = {"job_name": JOB, "static_configs": [{"targets": targets, "labels": LABELS}]}
        configs = [{"targets": [p.target], "labels": {"namespace": name}} for name, p in self.alone.items()]
        alone = {"job_name": "alone", "static_configs": configs}
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(self._hurried())],
            "scrape_configs": [job, others, alone],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self.monitoring.port + 1}"]}]}]
            },
        }

    def _hurried(self) -> Path:
        """The alerts without `for`, so that they fire at once."""
        groups = yaml.safe_load(ALERTS.read_text())["groups"]
        for rule in (rule for group in groups for rule in group["rules"]):
            rule.pop("for", None)
        path = self.folder / "alerts.yaml"
        path.write_text(yaml.safe_dump({"groups": groups}))
        return path

    def ask(self, expr: str, *, instant: bool) -> list[float]:
        """All values of a panel's query, now or within the last five minutes, queried as Grafana does."""
        expr = filled_in(expr)
        now = float(self._get("query", query="time()")["result"][1])
        if instant:
            found = [series["value"] for series in self._get("query", query=expr)["result"]]
        else:
            answer = self._get("query_range", query=expr, start=now - 300, end=now, step=2)
            found = [value for series in answer["result"] for value in series["values"]]
        return [number for _, text in found if math.isfinite(number := float(text))]

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = httpx.get(f"{self.monitoring.url}/api/v1/{path}", params=query, trust_env=False, timeout=30).json()
        assert answer["status"] == "success", answer
        data: dict[str, Any] = answer["data"]
        return data

    def offered(self, query: str) -> list[str]:
        """The choices of a dashboard variable: the result of Grafana's `label_values(METRIC, LABEL)`."""
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
        assert found is not None, query
        return self.labels(found[2], filled_in(found[1]))

    def labels(self, name: str, match: str) -> list[str]:
        """The values of a label."""
        url = f"{self.monitoring.url}/api/v1/label/{name}/values"
        values: list[str] = httpx.get(url, params={"match[]": match}, trust_env=False).json()["data"]
        return values

    def evaluated(self) -> dict[str, dict[str, Any]]:
        """The health of each alerting rule in Prometheus, after it has evaluated all of them."""
        groups = self._get("rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def firing(self, namespace: str = "ml") -> dict[str, list[dict[str, Any]]]:
        """The alerts of a namespace that Prometheus fires, by name."""
        rules = [rule for rule in self.evaluated().values() if rule["type"] == "alerting"]
        found = {
            rule["name"]: [
                alert
                for alert in rule["alerts"]
                if alert["state"] == "firing" and alert["labels"].get("namespace") == namespace
            ]
            for rule in rules
        }
        return {name: alerts for name, alerts in found.items() if alerts}

    def raise_alerts(self, *alerts: Mapping[str, str]) -> None:
        """Send alerts to Alertmanager, as Prometheus does."""
        body = [{"labels": dict(labels)} for labels in alerts]
        assert httpx.post(f"{self._alertmanager}/api/v2/alerts", json=body, trust_env=False).is_success

    def states(self, namespace: str) -> dict[str, str]:
        """The state of each alert of a namespace in Alertmanager: active, or suppressed by another alert."""
        asked = {"filter": f'namespace="{namespace}"'}
        found = httpx.get(f"{self._alertmanager}/api/v2/alerts", params=asked, trust_env=False).json()
        return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in found}

    @property
    def _alertmanager(self) -> str:
        return f"http://127.0.0.1:{self.monitoring.port + 1}"

    def close(self) -> None:
        self.daemon.stop()
        self.monitoring.call("down")
        for process in (*self.replicas, *self.alone.values()):
            process.close()


def filled_in(expr: str) -> str:
    """A query with its variables replaced as Grafana does."""
    for name, value in VARIABLES.items():
        expr = re.sub(rf"\${name}\b", value, expr)
    return expr


def alertmanager() -> dict[str, Any]:
    """The smallest configuration into which our inhibitions can be merged."""
    route = {"receiver": "nobody", "group_wait": "0s", "group_interval": "1s"}
    return {"route": route, "receivers": [{"name": "nobody"}], **yaml.safe_load(INHIBITIONS.read_text())}
