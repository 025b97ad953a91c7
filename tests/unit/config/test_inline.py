# ruff: noqa: E501 - a table with one case a line
"""`submit.workflow`: Argo's examples run unchanged, and no field of a manifest is dropped silently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.load import validate
from retrainer.engine.core.catalog import build_catalog
from retrainer.workflows.manifest import manifest
from tests.unit.workflows.samples import a_run

if TYPE_CHECKING:
    from pathlib import Path

SPEC = {"entrypoint": "m", "templates": [{"name": "m", "container": {"image": "busybox", "command": ["echo"]}}]}
HELLO = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {
        "generateName": "hello-world-",
        "labels": {"workflows.argoproj.io/archive-strategy": "false"},
        "annotations": {"workflows.argoproj.io/description": "This is a simple hello world example."},
    },
    "spec": SPEC,
}
AT = "rules[0].submit.workflow"


def said(folder: Path, workflow: Any, **submit: Any) -> list[str]:
    rule = {
        "name": "r",
        "triggers": {"s": {"schedule": {"cron": "@daily"}}},
        "submit": {"workflow": workflow, **submit},
    }
    (folder / "rules.yaml").write_text(json.dumps({"version": 1, "rules": [rule]}))
    configuration, problems = validate(str(folder))
    if configuration is not None:
        assert build_catalog(configuration, [])
        run = a_run(submit={"workflow": configuration.rules[0].submit.workflow})
        assert manifest(run, instance="main", instance_id=None)["spec"]
    return [str(problem).split(": ", 1)[1] for problem in problems]


def test_argos_hello_world_is_taken_as_it_is_with_its_label(tmp_path: Path) -> None:
    assert said(tmp_path, HELLO) == []
    made = manifest(a_run(submit={"workflow": HELLO}), instance="main", instance_id=None)
    assert made["metadata"]["labels"]["workflows.argoproj.io/archive-strategy"] == "false"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"metadata": {"namespace": "other"}}, "metadata.namespace: `metadata.namespace` of the manifest is not used (write `namespace:` beneath `submit:` instead)", id="a namespace"),
        pytest.param({"metadata": {"finalizers": ["x"]}}, "metadata.finalizers: `metadata.finalizers` of the manifest is not used (remove it: ", id="finalizers"),
        pytest.param({"metadata": {"lables": {}}}, "metadata.lables: `metadata.lables` of the manifest is not used (did you mean `labels`?)", id="a misspelt field"),
        pytest.param({"metadata": [1]}, "metadata: the metadata is not a map", id="metadata is a list"),
        pytest.param({"metadata": {"labels": [1]}}, "metadata.labels: the labels are not a map", id="labels are a list"),
        pytest.param({"metadata": {"labels": {"a": 5}}}, 'metadata.labels.a: 5 is not a text (quote it: "5")', id="a label is a number"),
        pytest.param({"metadata": {"annotations": {"a": [1]}}}, "metadata.annotations.a: [1] is not a text", id="an annotation is a list"),
        pytest.param({"metadata": {"labels": {"workflows.argoproj.io/phase": "x"}}}, "metadata.labels.workflows.argoproj.io/phase: `workflows.argoproj.io/` is reserved (remove it, or use your own domain; of these you may set archive-strategy, ", id="Argo's own label"),
        pytest.param({"metadata": {"annotations": {"retrainer.dev/run": "x"}}}, "metadata.annotations.retrainer.dev/run: `retrainer.dev/` is reserved", id="our own annotation"),
        pytest.param({"metadata": {"labels": {"app.kubernetes.io/managed-by": "x"}}}, "metadata.labels.app.kubernetes.io/managed-by: `app.kubernetes.io/managed-by` is reserved", id="who manages it"),
        pytest.param({"status": {}}, "status: `status` of the manifest is not used", id="a status"),
        pytest.param({"kind": "CronWorkflow"}, "kind: 'CronWorkflow' is not a Workflow", id="another kind"),
        pytest.param({"kind": ["Workflow"]}, "kind: ['Workflow'] is not a Workflow", id="a list of kinds"),
        pytest.param({"apiVersion": "v1"}, "apiVersion: 'v1' is not Argo's", id="another version"),
        pytest.param({"spec": [1]}, "the inline manifest has no `spec`", id="spec is a list"),
        pytest.param({"spec": {**SPEC, "arguments": [1]}}, "spec.arguments: the arguments are not a map", id="arguments are a list"),
        pytest.param({"spec": {**SPEC, "arguments": {"parameters": [1]}}}, "spec.arguments.parameters: the parameters are not a list", id="parameters are numbers"),
        pytest.param({"spec": {**SPEC, "arguments": {"parameters": {"a": 1}}}}, "spec.arguments.parameters: the parameters are not a list", id="parameters are a map"),
        pytest.param({"spec": {**SPEC, "arguments": {"parameters": [{"name": [1]}]}}}, "spec.arguments.parameters: the parameters are not a list", id="a name is a list"),
    ],
)  # fmt: skip
def test_what_would_not_be_used_is_refused_with_the_way_out(
    tmp_path: Path, changed: dict[str, Any], problem: str
) -> None:
    (only,) = said(tmp_path, {**HELLO, **changed})
    assert only.removeprefix(AT).lstrip(".: ").startswith(problem)


@pytest.mark.parametrize(
    "workflow",
    [
        pytest.param({"spec": SPEC}, id="a spec alone"),
        pytest.param({"spec": {**SPEC, "arguments": {"parameters": [{"name": "a", "value": "1"}]}}}, id="parameters"),
        pytest.param({"metadata": {"labels": {"team": "ml"}}, "spec": SPEC}, id="labels"),
    ],
)
def test_what_is_used_is_taken(tmp_path: Path, workflow: dict[str, Any]) -> None:
    assert said(tmp_path, workflow) == []
