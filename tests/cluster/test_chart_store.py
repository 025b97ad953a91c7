"""The store of a release, on a volume: it outlives the pod, and the release."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .conftest import kubectl, until
from .release import PIPELINES, Release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
rules:
  - name: churn
    triggers: {told: {data: {source: push}}}
    submit: {workflow_template: train}
"""


@pytest.fixture
def storage(namespace: str, tmp_path: Path) -> Iterator[str]:
    """Make a volume on the node, of a class of its own; it belongs to root, as new volumes do."""
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": namespace,
            "local": {"path": str(tmp_path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }
    kubectl("apply", "-f", "-", given=json.dumps(volume))
    yield namespace
    kubectl("delete", "pv", namespace, "--wait=false")


def test_what_is_known_outlives_the_pod_and_the_release(namespace: str, storage: str) -> None:
    kubectl("-n", namespace, "apply", "-f", str(PIPELINES / "train.yaml"))
    release = Release(namespace, persistence={"storageClass": storage, "size": "1Gi"}, rules={"all": RULES})
    release.install()
    release.push(model="churn")
    until(lambda: release.runs("churn"))
    (run,) = release.runs("churn")

    kubectl("-n", namespace, "delete", "pod", release.pod["metadata"]["name"])
    kubectl("-n", namespace, "rollout", "status", "deployment/retrainer", "--timeout=60s")
    release.connect()
    assert [one["id"] for one in release.runs("churn")] == [run["id"]]

    release.uninstall()
    release.install()
    assert [one["id"] for one in release.runs("churn")] == [run["id"]]
    release.uninstall()
    kubectl("-n", namespace, "delete", "pvc", "retrainer")
