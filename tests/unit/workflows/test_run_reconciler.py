from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from retrainer.runs.run import Run, RunPhase
from retrainer.util.clock import SystemClock
from retrainer.workflows import run_reconciler as module
from retrainer.workflows.base import Later, Observed
from retrainer.workflows.run_reconciler import RunReconciler

from .memory import MemoryCluster, MemoryDesk
from .samples import ULID, a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = Observed("ml", a_run().workflow, "uid-2", "", "Running")


def there(run: Run, phase: str = "Running") -> Observed:
    return Observed(run.namespace, run.workflow, "uid-1", run.id, phase)


def desk_with(run: Run, phase: RunPhase, **changes: object) -> MemoryDesk:
    gateway = MemoryDesk(SystemClock(), run)
    gateway.runs[run.id] = replace(run, phase=phase, **changes)  # type: ignore[arg-type]
    return gateway


@contextmanager
def following(gateway: MemoryDesk, cluster: MemoryCluster) -> Iterator[RunReconciler]:
    follower = RunReconciler(gateway, cluster, gateway.clock, tick=0.01)
    follower.start()
    cluster.watching.wait()
    try:
        yield follower
    finally:
        follower.stop()


def test_what_the_watch_sees_is_stored_in_order_and_the_finalizer_released_after_the_outcome() -> None:
    run = a_run(uid="uid-1")
    gateway, cluster = desk_with(run, RunPhase.SUBMITTED), MemoryCluster()
    cluster.held.add(run.workflow)
    ended = replace(there(run, "Succeeded"), finished_at=1.0)
    with following(gateway, cluster):
        assert cluster.report is not None
        for seen in (there(run), ended):
            cluster.report(seen)
        gateway.until(lambda: gateway.runs[ULID].released)
    assert gateway.seen == [there(run), ended]
    assert cluster.held == set()


def test_a_stop_request_is_sent_and_the_end_follows() -> None:
    run = a_run(uid="uid-1")
    gateway = desk_with(run, RunPhase.RUNNING, stop_requested="Terminate")
    cluster = MemoryCluster()
    cluster.workflows[run.workflow] = there(run)
    with following(gateway, cluster):
        gateway.until(lambda: gateway.runs[ULID].phase.terminal)
    assert cluster.calls["stop"] == 1
    assert gateway.seen[0].stopped


def test_a_run_without_a_workflow_has_nothing_to_release() -> None:
    gateway, cluster = desk_with(a_run(), RunPhase.ERROR), MemoryCluster()
    with following(gateway, cluster):
        gateway.until(lambda: gateway.runs[ULID].released)
    assert cluster.calls["release"] == 0


def test_a_release_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_AGAIN", 0.0)
    run = a_run(uid="uid-1")
    gateway, cluster = desk_with(run, RunPhase.SUCCEEDED), MemoryCluster()
    cluster.broken["release"] = Later("forbidden", code="403")
    with following(gateway, cluster):
        while cluster.calls["release"] < 2:
            assert not gateway.runs[ULID].released
        cluster.broken.clear()
        gateway.until(lambda: gateway.runs[ULID].released)


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        pytest.param(None, replace(there(a_run(), ""), gone=True), id="gone"),
        pytest.param(FOREIGN, replace(there(a_run(), ""), gone=True), id="another of that name"),
        pytest.param(there(a_run()), there(a_run()), id="there, the watch missed it"),
    ],
)
def test_a_live_run_that_the_watch_does_not_show_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, found: Observed | None, seen: Observed
) -> None:
    monkeypatch.setattr(module, "NEVER_SHOWN", 0.0)
    run = a_run(uid="uid-1")
    gateway, cluster = desk_with(run, RunPhase.SUBMITTED), MemoryCluster()
    if found is not None:
        cluster.workflows[run.workflow] = found
    with following(gateway, cluster):
        gateway.until(lambda: bool(gateway.seen))
    assert gateway.seen[0] == seen


def test_observations_outlast_a_store_that_fails_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(uid="uid-1")
    gateway, cluster = desk_with(run, RunPhase.SUBMITTED), MemoryCluster()
    observed, failures = gateway.observed, [OSError("disk full")]

    def failing(seen: list[Observed]) -> None:
        if failures:
            raise failures.pop()
        observed(seen)

    monkeypatch.setattr(gateway, "observed", failing)
    with following(gateway, cluster):
        assert cluster.report is not None
        cluster.report(there(run))
        gateway.until(lambda: gateway.seen == [there(run)])
