"""The chart's backup job: a copy under load, the store destroyed, and restored by the Job that the docs name."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from retrainer.util.timefmt import epoch

from .conftest import audited, kubectl, local_volume, until
from .release import PIPELINES, Release
from .test_chart_store import STORE, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAIM = "retrainer-backups"
IMAGE = "image: localhost/retrainer:test\n          imagePullPolicy: Never"
RESTORE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "restore-job.yaml"
RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push, id: data.id}
rules:
  - name: churn
    triggers: {told: {data: {source: push, where: "has(event.data.model)"}}}
    submit: {workflow_template: train}
  - name: counted
    triggers: {new: {data: {source: push, where: "!has(event.data.model)", batch: {at_least: {events: 100000}}}}}
    submit: {workflow_template: train}
"""


class Pusher(threading.Thread):
    """Sends numbered events one after another, and counts those that were acknowledged."""

    def __init__(self, release: Release) -> None:
        super().__init__(daemon=True)
        self._release, self.acknowledged, self.ended = release, 0, threading.Event()

    def run(self) -> None:
        with suppress(httpx.TransportError, AssertionError):
            while not self.ended.is_set():
                self._release.push(id=self.acknowledged)
                self.acknowledged += 1

    def stop(self) -> None:
        self.ended.set()
        self.join()


@pytest.fixture
def backups(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the claim for backups."""
    folder = tmp_path_factory.mktemp("backups")
    with local_volume(f"{namespace}-backups", folder) as storage_class:
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        kubectl("-n", namespace, "apply", "-f", "-", given=json.dumps(claim))
        yield folder


def ended(namespace: str, job: str) -> dict[str, Any]:
    """Wait until a Job has ended, and return its conditions by type."""

    def conditions() -> dict[str, Any]:
        found = json.loads(kubectl("-n", namespace, "get", "job", job, "-o", "json"))["status"].get("conditions", [])
        return {one["type"]: one for one in found if one["type"] in ("Complete", "Failed")}

    return dict(until(conditions, 120, every=1))


def back_up(release: Release, name: str) -> None:
    """Run the CronJob now, as the docs say. The cluster has no DNS: the pod gets the name of the Service as a host."""
    call = ("create", "job", "--from=cronjob/retrainer-backup", name, "--dry-run=client", "-o", "json")
    job = json.loads(kubectl("-n", release.namespace, *call))
    names = [f"retrainer.{release.namespace}.svc"]
    job["spec"]["template"]["spec"]["hostAliases"] = [{"ip": release.pod["status"]["podIP"], "hostnames": names}]
    kubectl("-n", release.namespace, "apply", "-f", "-", given=json.dumps(job))
    assert "Complete" in ended(release.namespace, name), kubectl("-n", release.namespace, "logs", f"job/{name}")


def pending(release: Release) -> int:
    """The events in the window of the rule that counts them."""
    return int(release.verdict("counted").split(" of ")[0].split()[-1])


def test_a_backup_under_load_is_restored_after_the_store_was_destroyed(
    namespace: str, storage: str, backups: Path
) -> None:
    kubectl("-n", namespace, "apply", "-f", str(PIPELINES / "train.yaml"))
    release = Release(
        namespace,
        persistence={"storageClass": storage, "size": "1Gi"},
        rules={"all": RULES},
        backup={"enabled": True, "schedule": "0 0 1 1 *", "claim": CLAIM, "keep": 2},
    )
    release.PATIENCE = 120  # a machine that does other things too
    release.install()
    release.push(id="known", model="churn")
    known = release.succeeded("churn")
    pusher = Pusher(release)
    pusher.start()
    until(lambda: pusher.acknowledged > 100)

    before = pusher.acknowledged
    for number in (1, 2, 3):
        back_up(release, f"backup-{number}")
    after = pusher.acknowledged + 1
    assert after > before + 1, "events arrived meanwhile"
    made = sorted(path.name for path in backups.iterdir() if path.name.startswith("retrainer-"))
    assert len(made) == 2, "the oldest of three was removed"
    assert release.metric("retrainer_store_backup_timestamp_seconds") > epoch(known["created_at"])

    release.push(id="unknown", model="churn")
    until(lambda: len(release.runs("churn")) == 2)
    pusher.stop()
    with stopped(namespace):
        kubectl("-n", namespace, "exec", "retrainer-store", "--", "sh", "-c", f"rm -f {STORE}*")
        job = RESTORE.read_text().replace(f"image: retrainer:{version('retrainer')}", IMAGE)
        kubectl("-n", namespace, "apply", "-f", "-", given=job)
        assert "Complete" in ended(namespace, "retrainer-restore")
        assert made[-1] in kubectl("-n", namespace, "logs", "job/retrainer-restore")
        kubectl("-n", namespace, "delete", "job", "retrainer-restore")
    release.connect()
    assert [run["id"] for run in release.runs("churn")] == [known["id"]]
    assert before <= pending(release) <= after
    release.push(id="known", model="churn")  # a sender that repeats what it had sent before the backup
    release.push(id=0)
    assert before <= pending(release) <= after
    assert [run["id"] for run in release.runs("churn")] == [known["id"]]
    assert len(audited(namespace)) == 2, "each Workflow was created once, also the one that the store does not know"
    release.uninstall()
    kubectl("-n", namespace, "delete", "pvc", "retrainer")
