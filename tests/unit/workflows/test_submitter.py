from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.runs.run import Run, RunPhase
from retrainer.util.clock import SystemClock
from retrainer.workflows import commit_gate
from retrainer.workflows.base import AlreadyExists, Ambiguous, Later, Observed, Refused, Template, WorkflowError
from retrainer.workflows.manifest import manifest
from retrainer.workflows.submission import WorkflowContent
from retrainer.workflows.submitter import SubmitLimits, Submitter
from tests.waiting import until

from .memory import MemoryCluster, MemoryDesk
from .samples import ULID, a_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrainer.workflows.base import Preparation

TEMPLATE = Template("churn-train", {"since": "today"})


def manifest_of(run: Run) -> dict[str, Any]:
    return manifest(run, instance="test", instance_id=None)


def submitter_of(
    gateway: MemoryDesk,
    cluster: MemoryCluster,
    preparation: Preparation | None = None,
    count: Callable[[str], None] = lambda _: None,
    **limits: Any,
) -> Submitter:
    """A submitter with one connection, or as `limits` say."""
    content = WorkflowContent(manifest_of, preparation)
    return Submitter(gateway, cluster, content, gateway.clock, SubmitLimits(**{"connections": 1} | limits), count)


def runs(count: int) -> list[Run]:
    return [a_run(f"{ULID[:-3]}{number:03}") for number in range(count)]


@contextmanager
def submitting(gateway: MemoryDesk, cluster: MemoryCluster, **options: Any) -> Iterator[list[str]]:
    codes: list[str] = []
    submitter = submitter_of(gateway, cluster, connections=4, count=codes.append, **options)
    submitter.start()
    submitter.wake()
    try:
        yield codes
    finally:
        submitter.stop()


def settled(gateway: MemoryDesk) -> bool:
    return all(run.phase not in (RunPhase.PENDING, RunPhase.SUBMITTING) for run in gateway.runs.values())


def test_a_burst_is_created_once_each_and_the_template_read_only_as_often_as_there_are_connections() -> None:
    gateway, cluster = MemoryDesk(SystemClock(), *runs(200)), MemoryCluster(TEMPLATE)
    with submitting(gateway, cluster) as codes:
        gateway.until(lambda: settled(gateway))
    assert {run.phase for run in gateway.runs.values()} == {RunPhase.SUBMITTED}
    assert len(cluster.created) == len(set(cluster.created)) == 200
    assert codes == ["ok"] * 200
    assert cluster.calls["template"] <= 4


TIMEOUT = Ambiguous("no answer in time", code="timeout")


@pytest.mark.parametrize(
    ("faults", "posts", "codes"),
    [
        pytest.param([("after", TIMEOUT)], 1, ["timeout"], id="created, the answer lost: found"),
        pytest.param([("before", TIMEOUT)], 2, ["timeout", "ok"], id="not created: sent again"),
        pytest.param(
            [("before", TIMEOUT), ("after", TIMEOUT)], 2, ["timeout", "timeout"], id="sent again, the answer lost"
        ),
        pytest.param(
            [("before", AlreadyExists("it was slow", code="409"))],
            2,
            ["409", "ok"],
            id="there, then removed: sent again",
        ),
    ],
)
def test_an_ambiguous_answer_is_settled_under_the_same_name(
    faults: list[tuple[str, WorkflowError]], posts: int, codes: list[str]
) -> None:
    gateway, cluster = MemoryDesk(SystemClock(), a_run()), MemoryCluster(TEMPLATE)
    cluster.faults = list(faults)
    with submitting(gateway, cluster) as counted:
        gateway.until(lambda: settled(gateway))
    assert gateway.runs[ULID].phase is RunPhase.SUBMITTED
    assert gateway.runs[ULID].uid == "uid-0"
    assert cluster.created == [gateway.runs[ULID].workflow]
    assert cluster.calls["create"] == posts
    assert counted == codes


def test_a_run_claimed_again_after_a_crash_adopts_the_workflow_it_made() -> None:
    run = a_run()
    gateway, cluster = MemoryDesk(SystemClock(), run), MemoryCluster(TEMPLATE)
    made = cluster.create(manifest_of(run), timeout=1)
    with submitting(gateway, cluster):
        gateway.until(lambda: settled(gateway))
    assert gateway.runs[ULID].uid == made.uid
    assert len(cluster.created) == 1


@pytest.mark.parametrize(
    ("there", "words"),
    [
        pytest.param(Observed("ml", a_run().workflow, "u", "", "Running"), "is not from retrainer", id="by hand"),
        pytest.param(Observed("ml", a_run().workflow, "u", "R9", "Running"), "belongs to run R9", id="another run's"),
    ],
)
def test_a_name_taken_by_somebody_else_is_a_conflict(there: Observed, words: str) -> None:
    gateway, cluster = MemoryDesk(SystemClock(), a_run()), MemoryCluster(TEMPLATE)
    cluster.workflows[there.name] = there
    with submitting(gateway, cluster):
        gateway.until(lambda: settled(gateway))
    assert gateway.runs[ULID].phase is RunPhase.ERROR
    assert gateway.runs[ULID].message.startswith("NAME_CONFLICT")
    assert words in gateway.runs[ULID].message
    assert cluster.created == []


def test_a_workflow_of_our_run_with_another_uid_than_we_stored_is_a_conflict() -> None:
    run = a_run(uid="uid-before")
    gateway, cluster = MemoryDesk(SystemClock(), run), MemoryCluster(TEMPLATE)
    cluster.workflows[run.workflow] = Observed("ml", run.workflow, "uid-after", run.id, "")
    with submitting(gateway, cluster):
        gateway.until(lambda: settled(gateway))
    assert gateway.runs[ULID].message.startswith("NAME_CONFLICT")


@pytest.mark.parametrize(
    ("template", "changes", "fault", "words"),
    [
        pytest.param(None, {}, None, "there is no WorkflowTemplate churn-train in namespace ml", id="no template"),
        pytest.param(
            None,
            {"submit": {"cluster_workflow_template": "train"}},
            None,
            "there is no ClusterWorkflowTemplate train",
            id="no cluster template",
        ),
        pytest.param(TEMPLATE, {"parameters": {"sinse": "x"}}, None, "did you mean since?", id="wrong parameter"),
        pytest.param(TEMPLATE, {"parameters": {"since": "{{x}}"}}, None, "Argo would expand", id="unsafe value"),
        pytest.param(TEMPLATE, {}, Refused("unknown field spec.x", code="400"), "unknown field", id="refused"),
    ],
)
def test_what_will_never_be_taken_ends_with_the_words_that_say_why(
    template: Template | None, changes: dict[str, Any], fault: WorkflowError | None, words: str
) -> None:
    gateway, cluster = MemoryDesk(SystemClock(), a_run(**changes)), MemoryCluster(template)
    cluster.faults = [("before", fault)] if fault else []
    with submitting(gateway, cluster):
        gateway.until(lambda: settled(gateway))
    assert gateway.runs[ULID].phase is RunPhase.ERROR
    assert words in gateway.runs[ULID].message


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        pytest.param(Later("exceeded quota", code="quota", retry_after=30.0), 30.0, id="quota"),
        pytest.param(Later("slow down", code="429", retry_after=5.0), 5.0, id="429"),
        pytest.param(Later("conflict", code="409", retry_after=1.0), 1.0, id="conflict"),
    ],
)
def test_what_may_be_taken_later_is_postponed_with_the_servers_words(fault: Later, least: float) -> None:
    gateway, cluster = MemoryDesk(SystemClock(), a_run()), MemoryCluster(TEMPLATE)
    cluster.faults = [("before", fault)]
    with submitting(gateway, cluster):
        gateway.until(lambda: len(gateway.waits) == 1)
    assert gateway.runs[ULID].phase is RunPhase.PENDING
    assert gateway.runs[ULID].message == str(fault)
    assert gateway.waits[0] >= least


def test_a_server_that_answers_nothing_is_not_asked_for_ever() -> None:
    gateway, cluster = MemoryDesk(SystemClock(), a_run()), MemoryCluster(TEMPLATE)
    cluster.faults = [("before", TIMEOUT)] * 3
    with submitting(gateway, cluster):
        gateway.until(lambda: len(gateway.waits) == 1)
    assert cluster.calls["create"] == 3
    assert gateway.runs[ULID].phase is RunPhase.PENDING


def test_templates_that_may_not_be_read_are_left_to_argo() -> None:
    gateway, cluster = MemoryDesk(SystemClock(), a_run()), MemoryCluster(None)
    cluster.broken["template"] = Later("cannot get resource", code="403", retry_after=60)
    with submitting(gateway, cluster):
        gateway.until(lambda: settled(gateway))
    assert gateway.runs[ULID].phase is RunPhase.SUBMITTED


def test_nothing_is_sent_once_the_lease_is_nearly_over() -> None:
    gateway, cluster = MemoryDesk(SystemClock(), a_run()), MemoryCluster(TEMPLATE)
    with submitting(gateway, cluster, lease=1.5):
        gateway.until(lambda: gateway.runs[ULID].submit_attempts >= 2)  # the run was claimed again
    assert cluster.calls["create"] == 0


def test_stopping_finishes_what_was_sent_and_hands_back_the_rest() -> None:
    gateway, cluster = MemoryDesk(SystemClock(), *runs(30)), MemoryCluster(TEMPLATE)
    sent, go_on = threading.Event(), threading.Event()
    create = cluster.create

    def slow(manifest: dict[str, Any], *, timeout: float, gate: Callable[[], None] | None = None) -> Observed:
        sent.set()
        go_on.wait()
        return create(manifest, timeout=timeout)

    cluster.create = slow  # type: ignore[method-assign]
    submitter = submitter_of(gateway, cluster)
    submitter.start()
    submitter.wake()
    sent.wait()
    stopping = threading.Thread(target=submitter.stop)
    stopping.start()
    while not submitter._stop.is_set():
        threading.Event().wait(0.001)
    go_on.set()
    stopping.join()
    phases = [run.phase for run in gateway.runs.values()]
    assert phases.count(RunPhase.SUBMITTED) == 1
    assert phases.count(RunPhase.PENDING) == 29


def test_runs_that_are_handed_over_are_sent_without_a_claim_of_their_own() -> None:
    gateway, cluster = Looked(SystemClock()), MemoryCluster(TEMPLATE)
    submitter = submitter_of(gateway, cluster)
    assert submitter.room() == 0  # the store may have older runs
    submitter.start()
    submitter.wake()
    gateway.until(lambda: submitter.room() > 0)
    gateway.runs = {run.id: run for run in runs(2)}
    submitter.take([gateway.runs[i] for i in gateway.runs], gateway.clock.monotonic())
    gateway.until(lambda: settled(gateway))
    submitter.stop()
    assert len(cluster.created) == 2


@contextmanager
def announced(cluster: MemoryCluster, **options: Any) -> Iterator[tuple[Submitter, Looked, Run]]:
    """A run announced to a submitter with one connection. Its request is held back."""
    gateway = Looked(SystemClock())
    submitter = submitter_of(gateway, cluster, **options)
    submitter.start()
    submitter.wake()
    gateway.until(lambda: submitter.room() > 0)
    (run,) = runs(1)
    gateway.runs = {run.id: run}
    submitter.announce([run], gateway.clock.monotonic())
    try:
        yield submitter, gateway, run
    finally:
        submitter.stop()


def test_what_is_announced_is_created_once_it_is_committed_and_not_before() -> None:
    cluster = MemoryCluster(TEMPLATE)
    with announced(cluster) as (submitter, gateway, run):
        until(lambda: cluster.at_gate, "its request is held back")
        assert cluster.created == []
        submitter.take([run], gateway.clock.monotonic())
        gateway.until(lambda: settled(gateway))
        assert cluster.created == [run.workflow]


class Upload:
    """An upload before each run. It records whether the request was already under way."""

    def __init__(self, cluster: MemoryCluster, *, needed: bool) -> None:
        self.cluster, self.is_needed = cluster, needed
        self.asked_before: list[int] = []

    def needed(self, run: Run) -> bool:
        return self.is_needed

    def prepare(self, run: Run) -> None:
        self.asked_before.append(self.cluster.calls["create"])


def test_what_has_to_be_in_place_first_is_put_there_before_any_byte_of_the_request_is_sent() -> None:
    cluster = MemoryCluster(TEMPLATE)
    upload = Upload(cluster, needed=True)
    with announced(cluster, preparation=upload) as (submitter, gateway, run):
        assert submitter._busy == 0
        submitter.take([run], gateway.clock.monotonic())
        gateway.until(lambda: settled(gateway))
    assert (upload.asked_before, cluster.created, cluster.at_gate) == ([0], [run.workflow], False)


def test_others_are_sent_ahead_all_the_same() -> None:
    cluster = MemoryCluster(TEMPLATE)
    upload = Upload(cluster, needed=False)
    with announced(cluster, preparation=upload) as (submitter, gateway, run):
        until(lambda: cluster.at_gate, "its request is held back")
        submitter.take([run], gateway.clock.monotonic())
        gateway.until(lambda: settled(gateway))
    assert upload.asked_before == []


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(TEMPLATE, id="its request is dropped"),
        pytest.param(None, id="a run that would be postponed is not"),
        pytest.param(Template("churn-train", {}), id="a run that would be refused is not"),
    ],
)
def test_of_what_is_announced_and_not_committed_nothing_is_created_or_stored(template: Template | None) -> None:
    cluster = MemoryCluster(template)
    with announced(cluster) as (submitter, gateway, run):
        submitter.forget()
        (later,) = runs(2)[1:]
        gateway.runs[later.id] = later
        cluster.known_template = TEMPLATE
        submitter.take([later], gateway.clock.monotonic())  # the connection is free for others
        until(lambda: gateway.runs[later.id] != later and not submitter._busy, "another run has had its turn")
        assert gateway.runs[run.id] == run
        assert run.workflow not in cluster.created


def test_a_commit_that_takes_too_long_has_the_request_sent_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_gate, "PATIENCE", 0.01)
    cluster = MemoryCluster(TEMPLATE)
    with announced(cluster) as (submitter, gateway, run):
        until(lambda: not submitter._busy, "the request was dropped")
        assert cluster.created == []
        submitter.take([run], gateway.clock.monotonic())
        gateway.until(lambda: settled(gateway))
        assert cluster.created == [run.workflow]


def test_a_lease_that_ends_before_the_commit_has_nothing_created() -> None:
    cluster = MemoryCluster(TEMPLATE)
    with announced(cluster, lease=2.2) as (submitter, gateway, run):
        until(lambda: cluster.at_gate, "its request is held back")
        threading.Event().wait(1.3)
        submitter.take([run], gateway.clock.monotonic())
        until(lambda: not submitter._busy, "the run is left to whoever claims it next")
        assert cluster.created == []
        assert gateway.runs[run.id] == run


class Looked(MemoryDesk):
    """Notifies waiters of each claim, and hides dispatched runs from claims."""

    def claim(self, limit: int, lease: float) -> list[Run]:
        with self.changed:
            self.changed.notify_all()
        return []


def test_what_is_handed_over_while_it_stops_is_handed_back() -> None:
    (run,) = runs(1)
    gateway, cluster = Ending(SystemClock()), MemoryCluster(TEMPLATE)
    submitter = submitter_of(gateway, cluster)
    gateway.before_last = lambda: submitter.take([run], gateway.clock.monotonic())
    gateway.runs = {run.id: run}
    submitter.start()
    submitter.stop()
    assert gateway.runs[run.id].phase is RunPhase.PENDING
    assert cluster.created == []


class Ending(MemoryDesk):
    """A transaction that asked for room before the stop ends just before the last claim, which returns nothing."""

    before_last: Callable[[], None]

    def claim(self, limit: int, lease: float) -> list[Run]:
        if limit == 0:
            self.before_last()
        return []
