"""Submitter and run reconciler on a real API server over a faulty connection; an independent watch counts Workflows."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ulid import ULID

from retrainer.runs.naming import workflow_name
from retrainer.runs.run import Run, RunPhase
from retrainer.util.clock import SystemClock
from retrainer.workflows.manifest import manifest
from retrainer.workflows.run_reconciler import RunReconciler
from retrainer.workflows.submission import WorkflowContent
from retrainer.workflows.submitter import SubmitLimits, Submitter
from tests.unit.workflows.memory import MemoryDesk

from .conftest import an_engine, audited, until
from .daemon import Judge
from .proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

SPEC = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "1s"}}]}


def a_run(namespace: str) -> Run:
    run = str(ULID())
    return Run(
        id=run,
        rule="churn",
        key="",
        phase=RunPhase.PENDING,
        workflow=workflow_name("churn", run),
        namespace=namespace,
        submit={"workflow": SPEC},
        parameters={},
        labels={},
        trigger="nightly",
        reason="schedule",
        created_at=0.0,
    )


def disturb(proxy: Proxy, over: threading.Event) -> None:
    """Cut the connection repeatedly. Before every second cut, discard answers for a moment."""
    while not over.wait(0.15):
        proxy.swallow.set()
        over.wait(0.05)
        proxy.cut()
        proxy.swallow.clear()


def test_a_bad_line_loses_nothing_and_doubles_nothing(namespace: str, tmp_path: Path) -> None:
    clock = SystemClock()
    runs = [a_run(namespace) for _ in range(150)]
    gateway, codes, over = MemoryDesk(clock, *runs), list[str](), threading.Event()
    judge = Judge(namespace, "test")  # not the audit log, which has 504 for every request whose connection was cut
    with Proxy() as proxy, ExitStack() as end:
        end.callback(judge.close)
        engine = an_engine(namespace, proxy.kubeconfig(tmp_path))
        submitter = Submitter(
            gateway,
            engine,
            WorkflowContent(lambda run: manifest(run, instance="test", instance_id="nobody")),
            clock,
            SubmitLimits(connections=4, lease=5.0, request_timeout=1.0),
            codes.append,
        )
        trouble = threading.Thread(target=disturb, args=(proxy, over))
        trouble.start()
        submitter.start()
        end.callback(submitter.stop)
        submitter.wake()
        try:
            until(lambda: judge.workflows >= 50)
        finally:
            over.set()
            trouble.join()
        until(lambda: all(run.phase is RunPhase.SUBMITTED for run in gateway.runs.values()), 90)
        until(lambda: judge.runs.keys() == gateway.runs.keys())
    assert {run: len(uids) for run, uids in judge.runs.items()} == {run.id: 1 for run in runs}
    assert set(codes) - {"ok"}, "nothing went wrong: the line was not bad enough to show anything"


def test_runs_are_followed_to_their_end_and_nothing_holds_them_afterwards(namespace: str) -> None:
    clock = SystemClock()
    runs = [a_run(namespace) for _ in range(5)]
    gateway, engine = MemoryDesk(clock, *runs), an_engine(namespace)
    content = WorkflowContent(lambda run: manifest(run, instance="test", instance_id=None))
    submitter = Submitter(gateway, engine, content, clock, SubmitLimits(connections=4))
    follower = RunReconciler(gateway, engine, clock, tick=0.2)
    with ExitStack() as end:
        for thread in (follower, submitter):
            thread.start()
            end.callback(thread.stop)
        submitter.wake()
        # The controller may be busy with other tests.
        until(lambda: all(run.released for run in gateway.runs.values()), 180)
    assert {run.phase for run in gateway.runs.values()} == {RunPhase.SUCCEEDED}
    assert len(audited(namespace)) == 5
