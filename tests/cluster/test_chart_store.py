"""The store of a release, on a volume: it outlives the pod, and the release."""

from __future__ import annotations

from .conftest import kubectl, until
from .release import PIPELINES, Release

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
rules:
  - name: churn
    triggers: {told: {data: {source: push}}}
    submit: {workflow_template: train}
"""


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
