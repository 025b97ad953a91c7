"""Pipelines of real pods, started by a schedule, by an event and manually, and followed to their end."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from .conftest import EXECUTOR, kubectl, until, workflow_as_json
from .daemon import Daemon, Judge

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPELINES = Path(__file__).parent / "pipelines"
USER, PASSWORD = "reader", "not-for-the-log-7c1f"
ROWS = {"on-event": 40, "by-hand": 50, "by-schedule": 100}
SIZES = {"one": "train", "two": "transform-train", "three": "pull-transform-train"}
ENDED = ("SUCCEEDED", "FAILED", "ERROR", "CANCELLED", "SKIPPED", "UNKNOWN")


class Story(NamedTuple):
    """The final state: runs by rule, Workflows by run id, and the daemon's log."""

    runs: dict[str, list[dict[str, Any]]]
    workflows: dict[str, dict[str, Any]]
    judged: dict[str, set[str]]
    log: str


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    name = f"pipelines-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("-n", name, "apply", "-f", "-", given=EXECUTOR)
    secret = ("create", "secret", "generic", "database", f"--from-literal=user={USER}")
    kubectl("-n", name, *secret, f"--from-literal=password={PASSWORD}")
    for template in (*SIZES.values(), "failing"):
        kubectl("-n", name, "apply", "-f", str(PIPELINES / f"{template}.yaml"))
    yield name
    for workflow in kubectl("-n", name, "get", "workflows", "-o", "name").split():
        kubectl("-n", name, "patch", workflow, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def story(place: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Start all pipelines together and return the final state. Pods are slow, so all tests share them."""
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), place, (PIPELINES / "rules.yaml").read_text())
    judge = Judge(place, daemon.name)
    try:
        daemon.launch()
        daemon.ready()
        yield told(daemon, judge, place)
    finally:
        daemon.close()
        judge.close()


def told(daemon: Daemon, judge: Judge, place: str) -> Story:
    for template in (*SIZES.values(), "failing"):
        daemon.post("/hooks/push", {"pipeline": template, "rows": ROWS["on-event"]})
    for size in SIZES:
        order = {"parameters": {"rows": str(ROWS["by-hand"])}}
        assert daemon.post(f"/api/v1/rules/{size}-by-hand/trigger", order)["decision"] == "fire"
    scheduled = [f"{size}-by-schedule" for size in SIZES]
    until(lambda: all(daemon.runs(rule) for rule in scheduled), 90)
    for rule in scheduled:
        daemon.post(f"/api/v1/rules/{rule}/pause", {"note": "one run is enough"})
    rules = [f"{size}-{how}" for size in SIZES for how in ROWS] + ["failing-on-event"]
    until(lambda: all(run["phase"] in ENDED for rule in rules for run in daemon.runs(rule)), 300)
    runs = {rule: daemon.runs(rule) for rule in rules}
    every = [run for found in runs.values() for run in found]
    until(lambda: all(daemon.get(f"/runs/{run['id']}")["released"] for run in every), 60)
    workflows = {run["id"]: workflow_as_json(place, run["workflow"]) for run in every}
    assert daemon.stop() == 0
    return Story(runs, workflows, judge.runs, daemon.log.read_text())


@pytest.mark.parametrize("how", ["by-schedule", "on-event", "by-hand"])
@pytest.mark.parametrize("size", ["one", "two", "three"])
def test_a_pipeline_is_started_and_followed_to_success(story: Story, size: str, how: str) -> None:
    (run,) = story.runs[f"{size}-{how}"]
    assert (run["phase"], run["message"]) == ("SUCCEEDED", "")
    assert run["outputs"]["accuracy"] == pytest.approx(1 - 1 / ROWS[how])
    if size == "three":
        proof = hashlib.sha256(f"{USER}:{PASSWORD}".encode()).hexdigest()
        assert (run["outputs"]["user"], run["outputs"]["proof"]) == (USER, proof)


def test_a_schedule_starts_its_runs_for_a_slot(story: Story) -> None:
    slots = {story.runs[f"{size}-by-schedule"][0]["scheduled_at"] for size in SIZES}
    assert len(slots) == 1
    assert slots.pop().endswith(":00.000Z")


def test_failed_training_ends_as_failed_with_its_message(story: Story) -> None:
    (run,) = story.runs["failing-on-event"]
    assert run["phase"] == "FAILED"
    assert "exit code 3" in run["message"]


def test_each_run_has_exactly_one_workflow(story: Story) -> None:
    assert story.judged == {run["id"]: {run["uid"]} for found in story.runs.values() for run in found}


def test_nothing_holds_a_workflow_whose_outcome_is_stored(story: Story) -> None:
    assert [name for name, workflow in story.workflows.items() if workflow["metadata"].get("finalizers")] == []


def test_the_password_stays_in_the_cluster(story: Story) -> None:
    assert PASSWORD not in story.log
    assert PASSWORD not in str(story.workflows)
