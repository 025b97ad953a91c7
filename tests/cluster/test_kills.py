"""kill -9 at every crash point and at random moments of a burst: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import kubernetes
import pytest

from .conftest import EXECUTOR, KUBECONFIG, kubectl, until
from .daemon import Daemon, Judge, sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KILLS = int(os.environ.get("RETRAINER_KILLS", "3"))
BURST = 200
UNDER_WAY = ("SUBMITTED", "RUNNING", "SUCCEEDED")

# Ends immediately and needs no pod: its only step is skipped.
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: nothing}
spec:
  entrypoint: main
  arguments: {parameters: [{name: number}]}
  templates:
    - name: main
      steps: [[{name: never, template: never, when: "1 == 2"}]]
    - name: never
      suspend: {}
"""
RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: each
    triggers: {arrived: {data: {source: push}}}
    limits: {overlap: allow_all}
    submit:
      workflow_template: nothing
      parameters: {number: "${events[0].data.number}"}
"""


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """One namespace for all tests of this module: the Workflows of a burst take long to remove."""
    name = f"kills-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("-n", name, "apply", "-f", "-", given=EXECUTOR)
    kubectl("-n", name, "apply", "-f", "-", given=TEMPLATE)
    yield name
    free(name)
    kubectl("delete", "namespace", name, "--wait=false")


def held(namespace: str, instance: str = "") -> list[str]:
    """Workflows with a finalizer, of all instances or of one."""
    selector = f"--selector=retrainer.dev/instance={instance}" if instance else "--selector=retrainer.dev/instance"
    found = json.loads(kubectl("-n", namespace, "get", "workflows", "-o", "json", selector))["items"]
    return [item["metadata"]["name"] for item in found if item["metadata"].get("finalizers")]


def free(namespace: str) -> None:
    """Remove the remaining finalizers. kubectl would take minutes for a thousand."""
    names = held(namespace)
    nothing = {"metadata": {"finalizers": None}}
    kind = ("argoproj.io", "v1alpha1", namespace, "workflows")
    with kubernetes.config.new_client_from_config(str(KUBECONFIG)) as client, ThreadPoolExecutor(4) as hands:
        patch = kubernetes.client.CustomObjectsApi(client).patch_namespaced_custom_object
        list(hands.map(lambda name: patch(*kind, name, nothing), names))


@pytest.fixture
def daemon(place: str, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, place, RULES, name=f"d-{uuid.uuid4().hex[:8]}")
    yield made
    made.close()


@pytest.fixture
def judge(place: str, daemon: Daemon) -> Iterator[Judge]:
    watching = Judge(place, daemon.name)
    yield watching
    watching.close()


def judged(daemon: Daemon, judge: Judge, events: int) -> None:
    """Wait until all is submitted, and end the daemon. Assert one Workflow for each run and one run for each event."""
    until(lambda: sum(run["phase"] in UNDER_WAY for run in daemon.runs("each")) >= events, 120)
    runs = daemon.runs("each")
    assert daemon.stop() == 0
    until(lambda: judge.workflows >= events, 30)
    assert judge.runs == {run["id"]: {run["uid"]} for run in runs}
    assert sorted(int(run["parameters"]["number"]) for run in runs) == list(range(events))


@pytest.mark.parametrize(
    "point",
    [
        # The first transactions belong to the start. These hit transactions of events, of claims and of Argo's reports.
        pytest.param("before-commit:5", id="before-commit-early"),
        pytest.param("before-commit:8", id="before-commit"),
        pytest.param("before-commit:12", id="before-commit-late"),
        pytest.param("after-commit:5", id="after-commit-early"),
        pytest.param("after-commit:8", id="after-commit"),
        pytest.param("after-commit:12", id="after-commit-late"),
        pytest.param("after-acknowledge:5", id="after-acknowledge-early"),
        pytest.param("after-acknowledge:8", id="after-acknowledge"),
        pytest.param("after-acknowledge:12", id="after-acknowledge-late"),
        pytest.param("before-post", id="before-post"),
        pytest.param("before-post:3", id="before-third-post"),
        pytest.param("after-post", id="after-post"),
        pytest.param("after-post:3", id="after-third-post"),
        pytest.param("after-submitted", id="after-submitted"),
        pytest.param("after-submitted:3", id="after-third-submitted"),
        pytest.param("before-release", id="before-release"),
        pytest.param("before-release:3", id="before-third-release"),
    ],
)
def test_a_kill_at_any_point_neither_loses_nor_doubles_a_run(
    point: str, daemon: Daemon, judge: Judge, place: str
) -> None:
    daemon.launch(RETRAINER_CRASH_AT=point)
    with sending(daemon, "/hooks/push", 5):
        assert daemon.died() == -signal.SIGKILL
        daemon.launch()
        daemon.ready()
    if point.startswith("before-release"):
        until(lambda: not held(place, daemon.name), 150)
    judged(daemon, judge, 5)


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_kill_in_a_burst_neither_loses_nor_doubles_a_run(seed: int, daemon: Daemon, judge: Judge, place: str) -> None:
    chance = random.Random(seed)
    acknowledged: list[None] = []
    # Alternate between event intake and Workflow creation: the first is over long before the second.
    progress: Callable[[], int] = (lambda: len(acknowledged)) if seed % 2 else (lambda: judge.workflows)
    moment = chance.randrange(BURST)
    daemon.launch()
    daemon.ready()
    with sending(daemon, "/hooks/push", BURST, hands=8, on_acknowledged=lambda: acknowledged.append(None)):
        until(lambda: progress() >= moment, 60)
        daemon.kill()
        daemon.launch()
        daemon.ready()
    judged(daemon, judge, BURST)
