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

HELM = Path(os.environ.get("CHART_DIR", Path.home() / ".cache" / "retrainer-chart")) / "bin" / "helm"
CHART = Path(__file__).parents[2] / "deploy" / "helm" / "retrainer"
VALUES = {
    "image": {"repository": "localhost/retrainer", "tag": "test", "pullPolicy": "Never"},
    "fullnameOverride": "retrainer",
    "persistence": {"enabled": False},
    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
}


def helm(*arguments: str, given: str = "") -> str:
    """Run helm as the administrator; raise with its own words if it fails."""
    command = [str(HELM), f"--kubeconfig={KUBECONFIG}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=150)
    if done.returncode != 0:
        raise RuntimeError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Release:
    """One installation; `values` are those that `upgrade` may change."""

    def __init__(self, namespace: str, **values: Any) -> None:
        self.namespace, self.values = namespace, {**VALUES, **values}

    def install(self) -> None:
        """Return once its Deployment is ready."""
        self._apply("install")

    def upgrade(self, **values: Any) -> None:
        self.values |= values
        self._apply("upgrade")

    def _apply(self, verb: str) -> None:
        helm(
            verb,
            "retrainer",
            str(CHART),
            f"--namespace={self.namespace}",
            "--values=-",
            "--wait",
            "--timeout=60s",
            given=json.dumps(self.values),
        )

    def uninstall(self) -> None:
        helm("uninstall", "retrainer", f"--namespace={self.namespace}", "--wait", "--timeout=120s")

    def get(self, what: str, *more: str) -> Any:
        return json.loads(kubectl("-n", self.namespace, "get", what, *more, "-o", "json"))

    @property
    def pod(self) -> dict[str, Any]:
        """The pod that is not on its way out."""
        pods = self.get("pods", "-l", "app.kubernetes.io/name=retrainer")["items"]
        (pod,) = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return dict(pod)

    @property
    def log(self) -> str:
        return kubectl("-n", self.namespace, "logs", self.pod["metadata"]["name"])

    @property
    def http(self) -> httpx.Client:
        """A client of its API. Pods' addresses can be reached from the node."""
        token = base64.b64decode(self.get("secret", "retrainer-token")["data"]["token"]).decode()
        return httpx.Client(
            base_url=f"http://{self.pod['status']['podIP']}:8080",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30.0,
            trust_env=False,
        )

    def rules(self) -> set[str]:
        with self.http as http:
            return {rule["name"] for rule in http.get("/api/v1/rules").raise_for_status().json()["items"]}

    def runs(self, rule: str) -> list[dict[str, Any]]:
        with self.http as http:
            return list(http.get("/api/v1/runs", params={"rule": rule}).raise_for_status().json()["items"])

    def push(self, **data: Any) -> None:
        """Send an event to the platform's webhook."""
        with self.http as http:
            assert http.post("/hooks/push", json=data).status_code == 202

    def metric(self, name: str) -> float:
        with self.http as http:
            (value,) = re.findall(rf"^{name} (\S+)$", http.get("/metrics").text, re.MULTILINE)
        return float(value)

    def succeeded(self, rule: str) -> dict[str, Any]:
        """Await that the one run of a rule has ended well."""
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
