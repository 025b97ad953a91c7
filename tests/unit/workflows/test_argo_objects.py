import base64
import gzip
from typing import Any

import orjson
import pytest

from retrainer.workflows.argo.objects import from_metadata, from_template, from_workflow, held

META = {
    "namespace": "ml",
    "name": "churn-1",
    "uid": "u1",
    "annotations": {"retrainer.dev/run": "R1"},
    "labels": {"workflows.argoproj.io/phase": "Running"},
    "finalizers": ["workflows.argoproj.io/artifact-gc", "retrainer.dev/outcome"],
}
ENTRY = {"id": "churn-1", "outputs": {"parameters": [{"name": "auc", "value": "0.91"}, {"name": "empty"}]}}
STEP = {"id": "churn-1-42", "outputs": {"parameters": [{"name": "rows", "value": "7"}]}}
NODES = {"churn-1-42": STEP, "churn-1": ENTRY}
PACKED = base64.b64encode(gzip.compress(orjson.dumps(NODES))).decode()


def workflow(**status: Any) -> dict[str, Any]:
    return {"metadata": META, "spec": {}, "status": status}


def test_metadata_is_enough_to_follow_a_workflow() -> None:
    seen = from_metadata({"metadata": META})
    assert (seen.namespace, seen.name, seen.uid, seen.run, seen.phase) == ("ml", "churn-1", "u1", "R1", "Running")
    assert held({"metadata": META})


def test_a_new_workflow_of_somebody_else_has_neither_labels_nor_annotations() -> None:
    item = {"metadata": {"name": "x", "namespace": "ml", "uid": "u2", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    seen = from_metadata(item)
    assert (seen.run, seen.phase, seen.deleting) == ("", "", True)
    assert not held(item)


def test_the_end_of_a_workflow_is_read_whole() -> None:
    seen = from_workflow(
        workflow(
            phase="Succeeded",
            startedAt="2026-01-01T00:00:00Z",
            finishedAt="2026-01-01T00:01:30Z",
            progress="2/2",
            resourcesDuration={"cpu": 12, "nvidia.com/gpu": 90},
            nodes=NODES,
        )
    )
    assert seen.finished_at is not None
    assert seen.started_at is not None
    assert seen.finished_at - seen.started_at == 90
    assert seen.progress == "2/2"
    assert seen.resources == {"cpu": 12.0, "nvidia.com/gpu": 90.0}


@pytest.mark.parametrize(
    ("status", "outputs"),
    [
        pytest.param({"nodes": NODES}, {"auc": "0.91"}, id="of the entry node, not of its steps"),
        pytest.param({"compressedNodes": PACKED}, {"auc": "0.91"}, id="packed nodes"),
        pytest.param({"compressedNodes": "AAAA"}, {}, id="packed nodes that cannot be unpacked"),
        pytest.param({"compressedNodes": "!"}, {}, id="packed nodes that are no base64"),
        pytest.param({"offloadNodeStatusVersion": "fnv:1"}, {}, id="nodes kept elsewhere"),
        pytest.param(
            {"outputs": {"parameters": [{"name": "auc", "value": "0.5"}, {"name": "global", "value": "1"}]}},
            {"auc": "0.5", "global": "1"},
            id="global outputs",
        ),
        pytest.param(
            {"nodes": NODES, "outputs": {"parameters": [{"name": "auc", "value": "0.5"}]}},
            {"auc": "0.91"},
            id="the entry node has the last word",
        ),
        pytest.param({}, {}, id="none"),
    ],
)
def test_outputs(status: dict[str, Any], outputs: dict[str, str]) -> None:
    assert from_workflow(workflow(phase="Succeeded", **status)).outputs == outputs


@pytest.mark.parametrize(
    ("phase", "message", "stopped"),
    [
        pytest.param("Failed", "Stopped with strategy 'Terminate'", True, id="terminated"),
        pytest.param("Failed", "child 'train' failed", False, id="failed by itself"),
        pytest.param("Succeeded", "", False, id="succeeded"),
    ],
)
def test_a_stopped_workflow_is_told_from_a_failed_one(phase: str, message: str, stopped: bool) -> None:
    assert from_workflow(workflow(phase=phase, message=message)).stopped is stopped


def test_a_template_takes_its_arguments_and_what_its_entry_point_reads_from_them() -> None:
    template = from_template(
        {
            "metadata": {"name": "churn-train"},
            "spec": {
                "entrypoint": "main",
                "arguments": {
                    "parameters": [
                        {"name": "since"},
                        {"name": "epochs", "value": 3},
                        {"name": "mode", "default": "full", "enum": ["full", "part"]},
                        {"name": "secret", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                    ]
                },
                "templates": [
                    {"name": "other", "inputs": {"parameters": [{"name": "unseen"}]}},
                    {"name": "main", "inputs": {"parameters": [{"name": "model"}, {"name": "since", "value": "x"}]}},
                ],
            },
        }
    )
    assert template.parameters == {"model": None, "since": None, "epochs": "3", "mode": "full", "secret": ""}
    assert template.options == {"mode": ("full", "part")}


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("yesterday", id="words"),
        pytest.param("2026-02-30T00:00:00Z", id="a day that is none"),
        pytest.param(1767225600, id="a number"),
        pytest.param({}, id="a mapping"),
    ],
)
def test_a_moment_that_cannot_be_read_hides_nothing_else(moment: Any) -> None:
    seen = from_workflow(workflow(phase="Failed", startedAt=moment, finishedAt=moment, resourcesDuration={"cpu": "x"}))
    assert (seen.phase, seen.started_at, seen.finished_at, seen.resources) == ("Failed", None, None, {})


ODD = [None, 5, "x", [1], [None], ["x"], [[]], {"a": 1}, [{}], [{"name": [1]}], [{"name": "x"}], {"parameters": 5}]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_status_that_is_none_of_argos_ends_the_run_all_the_same(odd: Any) -> None:
    """The usual CRDs accept any status. An unreadable one would otherwise leave its run active forever."""
    for field in ("outputs", "nodes", "compressedNodes", "resourcesDuration", "message", "progress", "startedAt"):
        seen = from_workflow(workflow(**{"phase": "Succeeded", field: odd}))
        assert seen.phase == "Succeeded"
    for outputs in ({"parameters": odd}, {"parameters": [{"name": "x", "value": odd}]}):
        assert from_workflow(workflow(phase="Failed", outputs=outputs)).phase == "Failed"
    assert from_workflow({**workflow(phase="Failed"), "status": odd}).phase == ""


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_template_that_is_none_of_argos_is_left_to_argo(odd: Any) -> None:
    for spec in (odd, {"templates": odd}, {"arguments": odd}, {"arguments": {"parameters": odd}}):
        from_template({"metadata": {"name": "t"}, "spec": spec})
    from_template({"metadata": {"name": "t"}, "spec": {"entrypoint": "x", "templates": [{"name": "x", "inputs": odd}]}})
    from_template({"metadata": {"name": "t"}, "spec": {"arguments": {"parameters": [{"name": "x", "enum": odd}]}}})
