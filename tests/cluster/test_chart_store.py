"""The store of a release on a volume survives the pod and the release."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from .conftest import kubectl, until
from .release import PIPELINES, Release

if TYPE_CHECKING:
    from collections.abc import Iterator

POD, STORE = "retrainer-store", "/var/lib/retrainer/retrainer.db"
STORE_POD = Path(__file__).parents[2] / "deploy" / "kubernetes" / "store-pod.yaml"
LOCAL = "image: localhost/retrainer:test\n      imagePullPolicy: Never"

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


def test_a_backup_is_made_and_restored_by_the_pod_that_the_docs_name(
    namespace: str, storage: str, tmp_path: Path
) -> None:
    kubectl("-n", namespace, "apply", "-f", str(PIPELINES / "train.yaml"))
    release = Release(namespace, persistence={"storageClass": storage, "size": "1Gi"}, rules={"all": RULES})
    release.install()
    release.push(model="churn")
    until(lambda: release.runs("churn"))
    (before,) = release.runs("churn")
    backup = tmp_path / "backup.db"
    with stopped(namespace):
        assert " is intact" in kubectl("-n", namespace, "exec", POD, "--", "retrainer", "store", "check", STORE)
        kubectl("-n", namespace, "cp", f"{POD}:{STORE}", str(backup))
        kubectl("-n", namespace, "exec", POD, "--", "sh", "-c", f"rm -f {STORE}*")
    release.connect()
    assert release.runs("churn") == []
    with stopped(namespace):
        kubectl("-n", namespace, "exec", POD, "--", "sh", "-c", f"rm -f {STORE}*")
        kubectl("-n", namespace, "cp", str(backup), f"{POD}:{STORE}")
    release.connect()
    assert [one["id"] for one in release.runs("churn")] == [before["id"]]
    release.uninstall()
    kubectl("-n", namespace, "delete", "pvc", "retrainer")


@contextmanager
def stopped(namespace: str) -> Iterator[None]:
    """Scale the Deployment to zero meanwhile, and run the store pod on its volume."""
    kubectl("-n", namespace, "scale", "deployment", "retrainer", "--replicas=0")
    kubectl("-n", namespace, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=retrainer", "--timeout=50s")
    kubectl(
        "-n",
        namespace,
        "apply",
        "-f",
        "-",
        given=STORE_POD.read_text().replace(f"image: retrainer:{version('retrainer')}", LOCAL),
    )
    kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=50s")
    yield
    kubectl("-n", namespace, "delete", "pod", POD)
    kubectl("-n", namespace, "scale", "deployment", "retrainer", "--replicas=1")
    kubectl("-n", namespace, "rollout", "status", "deployment/retrainer", "--timeout=50s")
