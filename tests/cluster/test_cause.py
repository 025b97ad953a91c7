"""The cause of a run is on the Workflow that a real daemon created on a real cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .conftest import kubectl, until, workflow_as_json
from .daemon import Daemon

if TYPE_CHECKING:
    from pathlib import Path

RULES: dict[str, Any] = {
    "version": 1,
    "sources": {"push": {"type": "webhook", "path": "/hooks/push", "format": "json"}},
    "rules": [
        {
            "name": "churn",
            "triggers": {
                "new_data": {
                    "data": {"source": "push", "match": {"kind": "upload"}, "batch": {"at_least": {"events": 1}}}
                },
                "drift": {
                    "metric": {
                        "source": "push", "match": {"metric": "psi"}, "above": 0.2, "clear": 0.1, "jitter": "0s",
                    }
                },
            },
            "when": {"all": ["new_data", "drift"]},
            "submit": {
                "workflow": {
                    "spec": {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "1s"}}]}
                }
            },
        }
    ],
}  # fmt: skip


def test_the_tree_of_causes_stands_on_the_workflow(namespace: str, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, namespace, json.dumps(RULES))  # JSON is YAML
    try:
        daemon.launch()
        daemon.ready()
        daemon.post("/hooks/push", {"kind": "upload", "key": "churn/day-1"})
        daemon.post("/hooks/push", {"metric": "psi", "value": 0.31})
        name = until(lambda: [run["workflow"] for run in daemon.runs("churn")])[0]
        until(lambda: name in kubectl("-n", namespace, "get", "workflows", "-o", "name"))
        annotations = workflow_as_json(namespace, name)["metadata"]["annotations"]
        until(lambda: daemon.runs("churn")[0]["phase"] == "SUCCEEDED", 60)
    finally:
        daemon.close()
    assert annotations["retrainer.dev/reason"] == "batch_complete"
    cause = json.loads(annotations["retrainer.dev/cause"])
    new_data, drift = cause["when"]["all"]
    assert (new_data["trigger"], new_data["events"], new_data["at_least"]) == ("new_data", 1, {"events": 1})
    assert (drift["trigger"], drift["value"], drift["above"], drift["clear"]) == ("drift", 0.31, 0.2, 0.1)
    assert (cause["window"]["events"], cause["window"]["first_key"]) == (1, "churn/day-1")
    assert "truncated" not in cause
