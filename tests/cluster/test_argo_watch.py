"""The watch against a real API server: changes are reported, and the watch recovers from every fault."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from ulid import ULID

from retrainer.runs.naming import workflow_name
from retrainer.runs.run import Run, RunPhase
from retrainer.workflows.argo import watch
from retrainer.workflows.argo.watch import NamespaceWatch
from retrainer.workflows.manifest import manifest

from .conftest import CLUSTER, KUBECONFIG, an_engine, kubectl, pid, server, until
from .proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from retrainer.workflows.argo.engine import ArgoEngine
    from retrainer.workflows.base import Observed

INSTANCE = "watched"
NOBODY = "nobody"
"""An instance id of no controller: the test itself changes the phases."""


def a_workflow(
    engine: ArgoEngine, namespace: str, instance: str = INSTANCE, controller: str | None = NOBODY
) -> Observed:
    run = str(ULID())
    spec = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "1s"}}]}
    made = Run(
        id=run,
        rule="churn",
        key="",
        phase=RunPhase.SUBMITTING,
        workflow=workflow_name("churn", run),
        namespace=namespace,
        submit={"workflow": spec},
        parameters={},
        labels={},
        trigger="nightly",
        reason="schedule",
        created_at=0.0,
    )
    return engine.create(manifest(made, instance=instance, instance_id=controller), timeout=10)


def move(workflow: Observed, phase: str) -> None:
    """Write a phase as the controller does: status and label together."""
    patch = '{"metadata":{"labels":{"workflows.argoproj.io/phase":"%s"}},"status":{"phase":"%s","message":"moved"}}'
    edit(workflow, patch % (phase, phase))


def edit(workflow: Observed, patch: str) -> None:
    kubectl("-n", workflow.namespace, "patch", "workflow", workflow.name, "--type=merge", "-p", patch)


class Reports:
    """The reports of the watch, in order."""

    def __init__(self, watch: NamespaceWatch) -> None:
        self.watch = watch
        self.seen: list[Observed] = []

    def of(self, workflow: Observed) -> list[str]:
        return ["gone" if seen.gone else seen.phase for seen in list(self.seen) if seen.uid == workflow.uid]

    def until(self, workflow: Observed, *phases: str) -> None:
        until(lambda: tuple(self.of(workflow)) == phases, 30)


@contextmanager
def watching(namespace: str, kubeconfig: str = str(KUBECONFIG), **options: Any) -> Iterator[Reports]:
    engine = an_engine(namespace, kubeconfig, INSTANCE)
    watch = NamespaceWatch(engine._api, namespace, INSTANCE, **options)
    reports, stop = Reports(watch), threading.Event()
    thread = threading.Thread(target=watch.run, args=(engine.get, reports.seen.append, stop))
    thread.start()
    try:
        yield reports
    finally:
        stop.set()
        watch.close()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def engine(namespace: str) -> ArgoEngine:
    return an_engine(namespace, str(KUBECONFIG), INSTANCE)


def test_what_is_there_and_what_happens_is_reported_and_the_end_is_read_whole(
    engine: ArgoEngine, namespace: str
) -> None:
    before = a_workflow(engine, namespace)
    foreign = a_workflow(engine, namespace, instance="another")
    with watching(namespace) as reports:
        reports.until(before, "")
        after = a_workflow(engine, namespace)
        reports.until(after, "")
        move(after, "Running")
        reports.until(after, "", "Running")
        move(after, "Failed")
        reports.until(after, "", "Running", "Failed")
    assert reports.seen[-1].message == "moved"
    assert reports.of(foreign) == []
    assert reports.watch.restarts == 0


def test_a_real_workflow_is_followed_to_its_end(engine: ArgoEngine, namespace: str) -> None:
    with watching(namespace) as reports:
        workflow = a_workflow(engine, namespace, controller=None)
        until(lambda: reports.of(workflow)[-1:] == ["Succeeded"])
    assert reports.of(workflow) == ["", "Running", "Succeeded"]
    assert reports.seen[-1].finished_at is not None


def test_what_ended_while_nobody_watched_is_read_whole_unless_it_was_stored_already(
    engine: ArgoEngine, namespace: str
) -> None:
    unseen, stored = a_workflow(engine, namespace), a_workflow(engine, namespace)
    for workflow in (unseen, stored):
        move(workflow, "Succeeded")
    engine.release(namespace, stored.name, stored.uid)
    with watching(namespace) as reports:
        reports.until(unseen, "Succeeded")
        edit(stored, '{"metadata":{"labels":{"workflows.argoproj.io/phase":"Running"}},"status":{"phase":"Running"}}')
        reports.until(stored, "Running")  # `argo retry` reopens a finished Workflow
    assert reports.seen[0].message == "moved"


def test_more_than_a_page_is_listed(monkeypatch: pytest.MonkeyPatch, engine: ArgoEngine, namespace: str) -> None:
    monkeypatch.setattr(watch, "PAGE", 3)
    workflows = [a_workflow(engine, namespace) for _ in range(8)]
    with watching(namespace) as reports:
        until(lambda: len(reports.seen) == 8)
    assert {seen.uid for seen in reports.seen} == {workflow.uid for workflow in workflows}


def test_what_a_person_removes_is_reported_as_leaving_and_then_as_gone(engine: ArgoEngine, namespace: str) -> None:
    workflow = a_workflow(engine, namespace)
    with watching(namespace) as reports:
        reports.until(workflow, "")
        kubectl("-n", namespace, "delete", "workflow", workflow.name, "--wait=false")
        until(lambda: reports.seen[-1].deleting)
        engine.release(namespace, workflow.name, workflow.uid)
        reports.until(workflow, "", "", "gone")


def test_what_vanishes_between_two_lists_is_reported_as_gone(engine: ArgoEngine, namespace: str) -> None:
    workflow = a_workflow(engine, namespace)
    with watching(namespace) as reports:
        reports.until(workflow, "")
        # No Workflow of this instance really vanishes: the watch must detect it by listing.
        reports.watch._known["uid-of-the-past"] = watch.KnownWorkflow("churn-past", "R", "Running", False)
        reports.watch._stream.interrupt()
        until(lambda: any(seen.gone for seen in reports.seen))
    (gone,) = [seen for seen in reports.seen if seen.gone]
    assert (gone.name, gone.uid, gone.run) == ("churn-past", "uid-of-the-past", "R")


def test_one_that_lost_our_label_is_not_taken_for_gone(engine: ArgoEngine, namespace: str) -> None:
    workflow = a_workflow(engine, namespace)
    with watching(namespace) as reports:
        reports.until(workflow, "")
        edit(workflow, '{"metadata":{"labels":{"retrainer.dev/instance":null}}}')
        reports.until(workflow, "", "")
    assert not reports.seen[-1].gone


def test_live_workflows_are_told_again_with_each_list(engine: ArgoEngine, namespace: str) -> None:
    workflow = a_workflow(engine, namespace)
    with watching(namespace, relist=1.0, read_timeout=1.0) as reports:
        until(lambda: len(reports.of(workflow)) >= 3)
    assert reports.watch.restarts == 0


def test_a_version_that_etcd_has_forgotten_leads_to_a_new_list(engine: ArgoEngine, namespace: str) -> None:
    workflow = a_workflow(engine, namespace)
    with watching(namespace) as reports:
        reports.until(workflow, "")
        listed, versions = reports.watch._list, iter(["1"])
        reports.watch._list = lambda: next(versions, "") or listed()  # type: ignore[method-assign]
        reports.watch._stream.interrupt()
        move(workflow, "Running")
        reports.until(workflow, "", "Running")
    assert reports.watch.restarts >= 1


def test_a_silent_watch_is_noticed(
    monkeypatch: pytest.MonkeyPatch, engine: ArgoEngine, namespace: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "SILENCE", 1.0)
    workflow = a_workflow(engine, namespace)
    with Proxy() as proxy, watching(namespace, proxy.kubeconfig(tmp_path), read_timeout=2.0) as reports:
        reports.until(workflow, "")
        proxy.swallow.set()
        move(workflow, "Running")
        until(lambda: reports.watch.restarts >= 1)
        proxy.swallow.clear()
        proxy.cut()
        until(lambda: reports.of(workflow)[-1:] == ["Running"])


def test_a_cut_watch_heals(engine: ArgoEngine, namespace: str, tmp_path: Path) -> None:
    workflow = a_workflow(engine, namespace)
    with Proxy() as proxy, watching(namespace, proxy.kubeconfig(tmp_path)) as reports:
        reports.until(workflow, "")
        proxy.cut()
        move(workflow, "Running")
        until(lambda: reports.of(workflow)[-1:] == ["Running"])


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_an_api_server_that_goes_away_comes_back(engine: ArgoEngine, namespace: str, how: str) -> None:
    workflow = a_workflow(engine, namespace)
    with watching(namespace, read_timeout=3.0) as reports:
        reports.until(workflow, "")
        if how == "killed":
            os.kill(pid("apiserver"), signal.SIGKILL)
            until(lambda: reports.watch.restarts >= 2)
            server("start", "apiserver")
        else:
            os.kill(pid("apiserver"), signal.SIGSTOP)
            try:
                until(lambda: reports.watch.restarts >= 1)
            finally:
                os.kill(pid("apiserver"), signal.SIGCONT)
        until(lambda: subprocess.run(READY, capture_output=True, check=False).returncode == 0)
        move(workflow, "Succeeded")
        until(lambda: reports.of(workflow)[-1:] == ["Succeeded"])


READY = [str(CLUSTER / "bin" / "kubectl"), f"--kubeconfig={KUBECONFIG}", "get", "--raw=/readyz"]
