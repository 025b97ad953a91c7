"""The chart as users install it, with the image of this repository."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx

from .conftest import KUBECONFIG, kubectl, until

PIPELINES = Path(__file__).parent / "pipelines"
HELM = Path(os.environ.get("CHART_DIR", Path.home() / ".cache" / "retrainer-chart")) / "bin" / "helm"
CHART = Path(__file__).parents[2] / "deploy" / "helm" / "retrainer"
VALUES = {
    "image": {"repository": "localhost/retrainer", "tag": "test", "pullPolicy": "Never"},
    "fullnameOverride": "retrainer",
    "persistence": {"enabled": False},
    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
}


def helm(*arguments: str, given: str = "") -> str:
    """Run helm as the administrator; raise with its error message if it fails."""
    command = [str(HELM), f"--kubeconfig={KUBECONFIG}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=150)
    if done.returncode != 0:
        raise RuntimeError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Release:
    """One installation. `upgrade` may change `values`."""

    PATIENCE = 60
    """Seconds until everything must be ready."""

    def __init__(self, namespace: str, **values: Any) -> None:
        self.namespace, self.values = namespace, {**VALUES, **values}
        self.token = self.url = ""
        self._http = httpx.Client()

    def install(self) -> None:
        """Install the chart; return once its Deployment is ready."""
        self._apply("install")

    def upgrade(self, **values: Any) -> None:
        self.values |= values
        self._apply("upgrade")

    def rollback(self) -> None:
        """Return to the revision before the last upgrade."""
        helm("rollback", "retrainer", f"--namespace={self.namespace}", "--wait", f"--timeout={self.PATIENCE}s")
        self.connect()

    def _apply(self, verb: str) -> None:
        helm(
            verb,
            "retrainer",
            str(CHART),
            f"--namespace={self.namespace}",
            "--values=-",
            "--wait",
            f"--timeout={self.PATIENCE}s",
            given=json.dumps(self.values),
        )
        self.connect()

    def uninstall(self) -> None:
        self._http.close()
        helm("uninstall", "retrainer", f"--namespace={self.namespace}", "--wait", "--timeout=120s")

    def get(self, what: str, *more: str) -> Any:
        return json.loads(kubectl("-n", self.namespace, "get", what, *more, "-o", "json"))

    @property
    def pod(self) -> dict[str, Any]:
        """The pod that is not terminating."""
        pods = self.get("pods", "-l", "app.kubernetes.io/name=retrainer")["items"]
        (pod,) = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return dict(pod)

    @property
    def log(self) -> str:
        return kubectl("-n", self.namespace, "logs", self.pod["metadata"]["name"])

    def connect(self) -> None:
        """Connect to the pod. Pod addresses are reachable from the node."""
        self.token = base64.b64decode(self.get("secret", "retrainer-token")["data"]["token"]).decode()
        self.url = f"http://{self.pod['status']['podIP']}:8080"
        self._http.close()
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30.0, trust_env=False
        )

    def _ask(self, path: str, **query: str) -> list[dict[str, Any]]:
        return list(self._http.get(f"/api/v1{path}", params=query).raise_for_status().json()["items"])

    def rules(self) -> set[str]:
        return {rule["name"] for rule in self._ask("/rules")}

    def runs(self, rule: str) -> list[dict[str, Any]]:
        return self._ask("/runs", rule=rule)

    def verdict(self, rule: str) -> str:
        """What `explain` says of a rule."""
        answer = self._http.post(f"/api/v1/rules/{rule}/explain", json={}).raise_for_status().json()
        return str(answer["verdict"])

    def push(self, identity: str = "", /, **data: Any) -> None:
        """Send an event to the platform's webhook."""
        headers = {"Idempotency-Key": identity} if identity else {}
        assert self._http.post("/hooks/push", json=data, headers=headers).status_code == 202

    def metric(self, name: str) -> float:
        (value,) = re.findall(rf"^{name} (\S+)$", self._http.get("/metrics").text, re.MULTILINE)
        return float(value)

    def succeeded(self, rule: str) -> dict[str, Any]:
        """Wait until the only run of a rule has succeeded."""
        return dict(until(lambda: next((run for run in self.runs(rule) if run["phase"] == "SUCCEEDED"), None), 120))


def config_map(namespace: str, name: str, text: str, *, instance: str = "retrainer") -> None:
    """Write a ConfigMap of a team."""
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"retrainer.dev/rules": instance}},
        "data": {"rules.yaml": text},
    }
    kubectl("apply", "-f", "-", given=json.dumps(document))
