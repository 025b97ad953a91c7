"""Output of steps on the real cluster: two pods, read with the rights of deploy/kubernetes/rbac.yaml and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from retrainer.workflows.base import Later, NoOutput, OutputQuery, StepOutput
from retrainer.workflows.outline import outline

from .conftest import CLUSTER, an_engine, kubectl, until
from .proxy import API_PORT, write_kubeconfig

if TYPE_CHECKING:
    from retrainer.workflows.argo.engine import ArgoEngine

RIGHTS = Path(__file__).parents[2] / "deploy/kubernetes/rbac.yaml"
STEP = """
      container:
        image: localhost/python:3.11
        imagePullPolicy: Never
        command: [python3, -u, -c, "{}"]
"""
WORKFLOW = f"""
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{name: logs}}
spec:
  entrypoint: all
  templates:
    - name: all
      steps: [[{{name: prepare, template: prepare}}], [{{name: train, template: train}}]]
    - name: prepare{STEP.format("print(*range(5), sep=chr(10))")}
    - name: train
      retryStrategy: {{limit: 1}}{STEP.format("print('loss 0.1')")}
"""


def with_rights(namespace: str, folder: Path) -> ArgoEngine:
    kubectl("-n", namespace, "apply", "-f", str(RIGHTS))
    token = kubectl("-n", namespace, "create", "token", "retrainer").strip()
    cluster = {"server": f"https://127.0.0.1:{API_PORT}", "certificate-authority": str(CLUSTER / "run/api.crt")}
    engine = an_engine(namespace, write_kubeconfig(folder, cluster, token))
    until(lambda: engine.check() == [])
    return engine


def compare_nodes(engine: ArgoEngine, namespace: str) -> None:
    """Fail unless the nodes are those of the Workflow, each below the one that contains it."""
    status = json.loads(kubectl("-n", namespace, "get", "workflow", "logs", "-o", "json"))["status"]
    found = engine.nodes(namespace, "logs")
    assert found is not None
    assert {node.id: (node.kind, node.phase, node.template, node.message, node.exit_code) for node in found.nodes} == {
        name: (
            node["type"],
            node["phase"],
            node.get("templateName", ""),
            node.get("message", ""),
            node.get("outputs", {}).get("exitCode"),
        )
        for name, node in status["nodes"].items()
    }
    assert [(depth, node.name) for depth, node in outline(found.nodes, 100)] == [
        (0, "logs"),
        (1, "[0]"),
        (2, "prepare"),
        (1, "[1]"),
        (2, "train"),
        (3, "train(0)"),
    ]


def test_steps_are_read_while_their_pods_exist(namespace: str, tmp_path: Path) -> None:
    engine = with_rights(namespace, tmp_path)
    with pytest.raises(NoOutput, match="has no pods any more, or none yet"):
        engine.outputs(namespace, "logs", OutputQuery(10))
    kubectl("-n", namespace, "create", "-f", "-", given=WORKFLOW)
    until(lambda: (found := engine.get(namespace, "logs")) and found.phase == "Succeeded")
    assert list(engine.outputs(namespace, "logs", OutputQuery(2))) == [
        StepOutput("prepare", b"3\n4", left_out=True),
        StepOutput("train(0)", b"loss 0.1"),
    ]
    assert [step.step for step in engine.outputs(namespace, "logs", OutputQuery(2, "train"))] == ["train(0)"]
    compare_nodes(engine, namespace)
    with pytest.raises(NoOutput, match="has no step 'test'; it has prepare, train"):
        engine.outputs(namespace, "logs", OutputQuery(2, "test"))
    kubectl(
        "-n", namespace, "patch", "role", "retrainer", "--type=json", "-p", '[{"op": "remove", "path": "/rules/3"}]'
    )

    def refused() -> str:
        try:
            engine.outputs(namespace, "logs", OutputQuery(2))
        except Later as error:
            return str(error)
        return ""

    assert "get on `pods/log`" in until(refused)  # the authorizer sees a changed Role a moment later
