"""The nodes of Argo's Workflows: groups, retries, compressed and offloaded nodes, and edited status."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import orjson
import pytest

from retrainer.workflows.argo.nodes import nodes_of
from retrainer.workflows.base import NodeStatus
from tests.unit.workflows.test_argo_objects import workflow


def one(name: str, kind: str = "Pod", *children: str, boundary: str = "", **more: Any) -> dict[str, Any]:
    node = {"id": name, "name": name, "displayName": name, "type": kind, "phase": "Succeeded", "templateName": "t"}
    return {**node, "children": list(children), **({"boundaryID": boundary} if boundary else {}), **more}


NODES = {
    "churn-1": one("churn-1", "Steps", "churn-1[0]"),
    "churn-1[0]": one("churn-1[0]", "StepGroup", "churn-1[0].prepare", boundary="churn-1"),
    "churn-1[0].prepare": one("churn-1[0].prepare", "Pod", "churn-1[1]", boundary="churn-1"),
    "churn-1[1]": one("churn-1[1]", "StepGroup", "churn-1[1].train", boundary="churn-1"),
    "churn-1[1].train": one("churn-1[1].train", "Retry", "churn-1[1].train(0)", boundary="churn-1"),
    "churn-1[1].train(0)": one(
        "churn-1[1].train(0)",
        boundary="churn-1",
        phase="Failed",
        message="OOMKilled (exit code 137)",
        startedAt="2026-01-01T00:00:00Z",
        outputs={"exitCode": "137"},
    ),
}


def test_groups_and_retries_contain_their_nodes_but_not_what_follows() -> None:
    found = nodes_of(workflow(nodes=NODES))
    assert {node.name: node.parent for node in found.nodes} == {
        "churn-1": "",
        "[0]": "churn-1",
        "prepare": "churn-1[0]",
        "[1]": "churn-1",
        "train": "churn-1[1]",
        "train(0)": "churn-1[1].train",
    }
    assert found.nodes[-1] == NodeStatus(
        id="churn-1[1].train(0)",
        name="train(0)",
        kind="Pod",
        phase="Failed",
        template="t",
        message="OOMKilled (exit code 137)",
        started_at=1767225600.0,
        exit_code="137",
        parent="churn-1[1].train",
    )


def test_compressed_nodes_are_read() -> None:
    packed = base64.b64encode(gzip.compress(orjson.dumps(NODES))).decode()
    assert nodes_of(workflow(compressedNodes=packed)) == nodes_of(workflow(nodes=NODES))


@pytest.mark.parametrize(
    ("status", "note"),
    [
        pytest.param({"offloadNodeStatusVersion": "fnv:1"}, "Argo keeps the nodes", id="offloaded"),
        pytest.param({"compressedNodes": "!"}, "the nodes cannot be unpacked", id="damaged"),
        pytest.param({}, "", id="none yet"),
        pytest.param({"nodes": [1]}, "", id="edited"),
    ],
)  # fmt: skip
def test_why_there_are_no_nodes(status: dict[str, Any], note: str) -> None:
    found = nodes_of(workflow(**status))
    assert found.nodes == ()
    assert found.note.startswith(note) if note else found.note == ""


def test_values_of_unexpected_types_are_ignored() -> None:
    odd = {"a": {"children": 7, "name": 1, "outputs": [], "startedAt": 5, "templateRef": 1}, "b": 3}
    (node,) = nodes_of(workflow(nodes=odd)).nodes
    assert (node.id, node.name, node.children, node.started_at) == ("a", "a", (), None)
