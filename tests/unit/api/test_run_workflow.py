"""The Workflow of a run over HTTP: its nodes, bounded and without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.api.run_workflow import LONGEST, MOST_NODES
from retrainer.store import tables as t
from retrainer.telemetry.secrets import SECRETS
from retrainer.workflows.base import Ambiguous, Later, NodeStatus, Observed, Refused, WorkflowNodes
from tests.unit.api.ledger import NOW, RUN, run

if TYPE_CHECKING:
    import httpx

    from tests.unit.api.daemon import Daemon

WORKFLOW = f"/api/v1/runs/{RUN.format(1)}/workflow"


def seen(*nodes: NodeStatus, run: str = RUN.format(1), note: str = "") -> WorkflowNodes:
    workflow = Observed("ml", "churn-1", "uid-1", run, "Failed", "child 'train' failed", NOW + 3, NOW + 63, "1/2")
    return WorkflowNodes(workflow, nodes, note)


def node(number: int, phase: str = "Succeeded", parent: str = "0", message: str = "") -> NodeStatus:
    return NodeStatus(str(number), f"step-{number}", "Pod", phase, "step", message, NOW + number, None, "3", parent)


TOP = NodeStatus("0", "churn-1", "DAG", "Failed", started_at=NOW, children=("1", "9999"))


def test_nodes_are_below_the_node_that_contains_them_in_the_servers_words(client: httpx.Client, daemon: Daemon) -> None:
    daemon.workflow = seen(node(2, "Failed", message="OOMKilled (exit code 137)"), node(1), TOP)
    answer = client.get(WORKFLOW).json()
    assert [(n["depth"], n["name"], n["phase"], n["message"]) for n in answer["nodes"]] == [
        (0, "churn-1", "Failed", ""),
        (1, "step-1", "Succeeded", ""),
        (1, "step-2", "Failed", "OOMKilled (exit code 137)"),
    ]
    assert answer["nodes"][0]["children"] == ["1"]
    assert answer["nodes"][1]["exit_code"] == "3"
    assert (answer["state"], answer["phase"], answer["message"], answer["note"]) == (
        "exists",
        "Failed",
        "child 'train' failed",
        "",
    )
    assert answer["stuck"] == "step-2 (Pod) is Failed: OOMKilled (exit code 137)"
    assert daemon.asked == [("nodes", "ml", "churn-1")]


def test_of_too_many_nodes_those_that_failed_are_shown_with_what_contains_them(
    client: httpx.Client, daemon: Daemon
) -> None:
    inner = NodeStatus("inner", "inner", "Steps", "Succeeded", started_at=NOW + 9000, parent="0")
    daemon.workflow = seen(TOP, *(node(n) for n in range(1, 500)), inner, node(600, "Failed", parent="inner"))
    answer = client.get(WORKFLOW).json()
    assert len(answer["nodes"]) == MOST_NODES
    assert answer["node_count"] == 502
    assert [(n["depth"], n["name"]) for n in answer["nodes"][-2:]] == [(1, "inner"), (2, "step-600")]
    assert answer["note"] == "402 of 502 nodes are left out; those that failed or run come first"


def test_nodes_that_contain_each_other_are_no_endless_way(client: httpx.Client, daemon: Daemon) -> None:
    daemon.workflow = seen(TOP, node(1, parent="2"), node(2, parent="1"), node(3, parent="nowhere"))
    assert client.get(WORKFLOW).json()["nodes"][-1]["name"] == "step-3"


def test_secrets_are_masked_and_long_texts_end(client: httpx.Client, daemon: Daemon) -> None:
    SECRETS.hide("tops3cret-value")
    daemon.workflow = seen(
        node(1, parent="", message="no access with tops3cret-value"),
        node(2, parent="", message="x" * 9999),
        note="not with tops3cret-value",
    )
    answer = client.get(WORKFLOW).json()
    assert answer["nodes"][0]["message"] == "no access with ***"
    assert answer["nodes"][1]["message"] == "x" * (LONGEST - 1) + "…"
    assert answer["note"] == "not with ***"


@pytest.mark.parametrize(
    ("workflow", "words"),
    [
        pytest.param(None, "it was deleted after the run had ended at 2025-11-24T16:01:03", id="gone"),
        pytest.param(seen(TOP, run="another"), "does not exist any more", id="its name is used by another run"),
    ],
)
def test_of_a_workflow_that_is_gone_what_is_stored_is_shown(
    client: httpx.Client, daemon: Daemon, workflow: WorkflowNodes | None, words: str
) -> None:
    daemon.workflow = workflow
    answer = client.get(WORKFLOW).json()
    assert (answer["state"], answer["phase"], answer["progress"], answer["nodes"]) == ("gone", "SUCCEEDED", "1/1", [])
    assert words in answer["note"]


def test_a_run_without_a_workflow_says_so(client: httpx.Client, daemon: Daemon) -> None:
    daemon.memory.put(t.runs, run(7, phase="PENDING", uid=None, ended_at=None, started_at=None))
    answer = client.get(WORKFLOW.replace(RUN.format(1), RUN.format(7))).json()
    assert (answer["state"], answer["note"]) == (
        "not_created",
        "the run is PENDING: its Workflow has not been created",
    )
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        pytest.param(Refused("ml: not with tops3cret-value"), 404, None, id="never"),
        pytest.param(Later("cannot get resource", retry_after=60.0), 503, "60", id="not now"),
        pytest.param(Ambiguous("no answer in 10 s"), 503, "5", id="no answer"),
    ],
)
def test_errors_of_the_server_are_in_its_words(
    client: httpx.Client, daemon: Daemon, error: Exception, status: int, retry: str | None
) -> None:
    SECRETS.hide("tops3cret-value")
    daemon.unread = error
    answer = client.get(WORKFLOW)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry)
    assert answer.json()["detail"] == str(error).replace("tops3cret-value", "***")
