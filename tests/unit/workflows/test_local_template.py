"""What the local engine rejects in a template, with its path; the expansion of tags and of `/tmp`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from retrainer.workflows.local.places import Places
from retrainer.workflows.local.tags import substitute
from retrainer.workflows.local.template import unsupported, unused

GOOD: dict[str, Any] = {
    "kind": "WorkflowTemplate",
    "metadata": {"name": "t"},
    "spec": {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "p", "value": 1}]},
        "serviceAccountName": "robot",
        "activeDeadlineSeconds": 60,
        "templates": [
            {
                "name": "main",
                "dag": {
                    "tasks": [
                        {"name": "a", "template": "step", "arguments": {"parameters": [{"name": "x", "value": "1"}]}},
                        {
                            "name": "b",
                            "template": "step",
                            "depends": "a",
                            "arguments": {"parameters": [{"name": "x", "value": "{{ tasks.a.outputs.parameters.y }}"}]},
                        },
                    ]
                },
                "outputs": {
                    "parameters": [{"name": "y", "valueFrom": {"parameter": "{{tasks.b.outputs.parameters.y}}"}}]
                },
            },
            {
                "name": "step",
                "inputs": {"parameters": [{"name": "x"}, {"name": "z", "default": "{}"}]},
                "container": {
                    "image": "python:3.11",
                    "command": ["python"],
                    "args": ["{{inputs.parameters.x}}", "{{workflow.parameters.p}}", "{{workflow.name}}"],
                    "resources": {"requests": {"cpu": 1}},
                },
                "outputs": {"parameters": [{"name": "y", "valueFrom": {"path": "/tmp/y", "default": ""}}]},
            },
        ],
    },
}
DAG, STEP = "spec.templates[0]", "spec.templates[1]"


def changed(path: str, value: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(GOOD)
    *way, last = path.replace("[", ".[").split(".")
    at: Any = manifest
    for part in way:
        at = at[int(part[1:-1])] if part.startswith("[") else at[part]
    at[int(last[1:-1]) if last.startswith("[") else last] = value
    return manifest


def test_what_it_runs() -> None:
    assert unsupported(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value", "where", "message"),
    [
        pytest.param("spec", None, "spec", "must be a mapping", id="no-spec"),
        pytest.param("spec.schedule", "x", "spec.schedule", "does not support this; it supports a", id="unknown"),
        *(
            pytest.param("spec.volumes", [{"name": "v", kind: {}}], f"spec.volumes[0].{kind}", why, id=kind)
            for kind, why in {
                "configMap": "as an artifact with `raw`",
                "secret": "no Secrets",
                "persistentVolumeClaim": "take `volumeClaimTemplates`",
                "hostPath": "sees the files of this machine where they are",
                "nfs": "does not support this; it supports emptyDir, name",
            }.items()
        ),
        pytest.param("spec.volumes", [{"name": "v"}], "spec.volumes[0]", "needs `emptyDir: {}`", id="no-volume"),
        *(
            pytest.param(f"{STEP}.{field}", {}, f"{STEP}.{field}", why, id=field)
            for field, why in {
                "sidecars": "start the other in the background",
                "initContainers": "a step of its own before this one",
                "containerSet": "a task of a dag",
                "daemon": "start it in the background",
                "resource": "no Kubernetes API",
                "http": "let a script do it",
                "plugin": "has no plugins",
                "data": "let a script print the list",
            }.items()
        ),
        *(
            pytest.param(
                f"{STEP}.inputs.artifacts",
                [{"name": "a", "path": "/in", store: {"key": "k"}}],
                f"{STEP}.inputs.artifacts[0].{store}",
                "pass the artifact of another task with `from`, or a text with `raw`",
                id=f"input-from-{store}",
            )
            for store in ("s3", "gcs", "git", "http", "oss", "hdfs", "azure", "artifactory", "plugin")
        ),
        *(
            pytest.param(
                f"{STEP}.inputs.artifacts",
                [{"name": "a", **artifact}],
                f"{STEP}.inputs.artifacts[0].{field}",
                why,
                id=f"artifact-{field}-{number}",
            )
            for number, (artifact, field, why) in enumerate(
                (
                    ({"raw": {"data": ""}}, "path", "is needed"),
                    ({"path": "in"}, "path", "must be an absolute path such as /tmp/out"),
                    ({"path": "/"}, "path", "not / itself"),
                    ({"path": "/a/../b"}, "path", "must not contain `..`"),
                    ({"path": "/proc/1"}, "path", "which are this machine's"),
                    ({"path": "/a", "mode": 4755}, "mode", "must be between 0 and 511 (0777)"),
                )
            )
        ),
        *(
            pytest.param(
                f"{STEP}.container.volumeMounts",
                [{"name": "v", "mountPath": "/v", **mount}],
                f"{STEP}.container.volumeMounts[0].{field}",
                why,
                id=f"mount-{field}",
            )
            for mount, field, why in (({}, "name", "there is no volume 'v'; there are none"),)
        ),
        pytest.param("spec.onExit", "no", "spec.onExit", "no template 'no'; there are main, step", id="exit-handler"),
        pytest.param("spec.entrypoint", "x", "spec.entrypoint", "no template 'x'; there are main, step", id="entry"),
        pytest.param("spec.activeDeadlineSeconds", "1m", "spec.activeDeadlineSeconds", "whole number", id="deadline"),
        pytest.param(f"{DAG}.name", "step", "spec.templates", "same name", id="twice"),
        pytest.param(f"{STEP}.steps", [[]], STEP, "exactly one of container, script, dag, steps", id="steps-too"),
        pytest.param(f"{STEP}.script", {"command": ["sh"], "source": "x"}, STEP, "exactly one", id="two-kinds"),
        pytest.param(
            f"{STEP}.container", {}, f"{STEP}.container.command", "no image whose entrypoint", id="entrypoint"
        ),
        pytest.param(f"{STEP}.container.command", "sh", f"{STEP}.container.command", "must be a list", id="text"),
        pytest.param(f"{STEP}.container.command", [], f"{STEP}.container.command", "is empty", id="empty"),
        pytest.param(
            f"{STEP}.container.envFrom", [], f"{STEP}.container.envFrom", "does not support this", id="env-from"
        ),
        pytest.param(
            f"{STEP}.container.env",
            [{"name": "A", "value": "", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            f"{STEP}.container.env[0].valueFrom.secretKeyRef",
            "this machine has no Secrets",
            id="secret",
        ),
        pytest.param(
            f"{STEP}.container.args", ["{{pod.ip}}"], f"{STEP}.container.args[0]", "cannot fill {{pod.ip}}", id="tag"
        ),
        pytest.param(
            f"{STEP}.container.args",
            ["{{=1+}}"],
            f"{STEP}.container.args[0]",
            "a value is missing before 'its end'",
            id="expression",
        ),
        pytest.param(
            f"{STEP}.container.args",
            ["echo {{workflow.name"],
            f"{STEP}.container.args[0]",
            "not closed",
            id="unclosed-tag",
        ),
        pytest.param(
            f"{STEP}.inputs.parameters[1].default",
            "{{=jsonpath(workflow.parameters.q, '$.a')}}",
            f"{STEP}.inputs.parameters[1].default",
            "cannot fill 'workflow.parameters.q' in an expression here; it could fill workflow.parameters.p, ",
            id="expression-in-an-input",
        ),
        pytest.param(
            f"{STEP}.inputs.parameters[1]",
            {"name": "z", "value": "{{inputs.parameters.x}}"},
            f"{STEP}.inputs.parameters[1].value",
            "cannot fill {{inputs.parameters.x}}",
            id="an-input-in-an-input",
        ),
        pytest.param(
            "spec.arguments.parameters[0].value",
            "{{workflow.name}}",
            "spec.arguments.parameters[0].value",
            "write the value itself",
            id="tag-in-an-argument",
        ),
        pytest.param(
            f"{STEP}.outputs.parameters[0].valueFrom",
            {"path": "/tmp/{{inputs.parameters.no}}"},
            f"{STEP}.outputs.parameters[0].valueFrom.path",
            "cannot fill {{inputs.parameters.no}}",
            id="tag-in-a-path",
        ),
        pytest.param(
            f"{STEP}.outputs.parameters[0].valueFrom",
            {"path": "/tmp/y", "default": "{{item}}"},
            f"{STEP}.outputs.parameters[0].valueFrom.default",
            "cannot fill {{item}}",
            id="tag-in-a-default",
        ),
        pytest.param(
            f"{DAG}.outputs.parameters[0].valueFrom",
            {"parameter": "{{tasks.b.outputs.parameters.y}}", "default": "{{item}}"},
            f"{DAG}.outputs.parameters[0].valueFrom.default",
            "cannot fill {{item}}",
            id="tag-in-a-dags-default",
        ),
        pytest.param(
            f"{STEP}.outputs.parameters[0].valueFrom",
            {"path": "out/y"},
            f"{STEP}.outputs.parameters[0].valueFrom.path",
            "must be an absolute path",
            id="output-elsewhere",
        ),
        pytest.param(
            f"{DAG}.outputs.parameters[0].valueFrom",
            {"parameter": "{{tasks.b.outputs.parameters.no}}"},
            f"{DAG}.outputs.parameters[0].valueFrom.parameter",
            "cannot fill {{tasks.b.outputs.parameters.no}} here; it could fill tasks.b.outputs.parameters.y, ",
            id="output-of-nobody",
        ),
        pytest.param(f"{DAG}.dag.failFast", "no", f"{DAG}.dag.failFast", "must be true or false", id="fail-fast"),
        pytest.param(
            f"{DAG}.dag.tasks[0].when", "x =", f"{DAG}.dag.tasks[0].when", "cannot be read from '=' on", id="when"
        ),
        pytest.param(f"{DAG}.dag.tasks[0].name", "../a", f"{DAG}.dag.tasks[0].name", "must be a name", id="path-name"),
        pytest.param(
            f"{DAG}.dag.tasks[0].template", "no", f"{DAG}.dag.tasks[0].template", "there are main, step", id="template"
        ),
        pytest.param(
            f"{DAG}.dag.tasks[0].arguments", {}, f"{DAG}.dag.tasks[0].arguments", "needs the parameter 'x'", id="arg"
        ),
        pytest.param(f"{DAG}.dag.tasks[0].depends", "b", f"{DAG}.dag.tasks", "wait for each other", id="cycle"),
        pytest.param(
            f"{DAG}.dag.tasks[1].depends", "a || c", f"{DAG}.dag.tasks[1]", "waits for 'c': no such task", id="or"
        ),
        pytest.param(f"{DAG}.dag.tasks[1].dependencies", ["c"], f"{DAG}.dag.tasks[1]", "waits for 'c'", id="unknown"),
        pytest.param(
            f"{DAG}.dag.tasks[1].depends",
            "",
            f"{DAG}.dag.tasks[1].arguments.parameters[0].value",
            "cannot fill {{tasks.a.outputs.parameters.y}}",
            id="not-waited-for",
        ),
    ],
)
def test_what_it_refuses(path: str, value: Any, where: str, message: str) -> None:
    found = [(at, why) for at, why in unsupported(changed(path, value)) if "needs the artifact" not in why]
    assert [at for at, _ in found] == [where]
    assert message in found[0][1]


def test_all_problems_at_once() -> None:
    manifest = changed("spec.suspend", True)
    manifest["spec"]["templates"][0]["resource"] = {}
    manifest["spec"]["templates"][1]["container"]["envFrom"] = []
    assert [at for at, _ in unsupported(manifest)] == [
        f"{DAG}.resource",
        f"{STEP}.container.envFrom",
        "spec.suspend",
    ]


def test_fields_of_pods_have_no_effect_and_are_named() -> None:
    manifest = changed("spec.nodeSelector", {"gpu": "a100"})
    manifest["spec"]["templates"][1]["container"] |= {"resources": {}, "imagePullPolicy": "Always", "image": "x"}
    manifest["spec"]["templates"][1] |= {"podSpecPatch": "x", "metadata": {"labels": {}}}
    manifest["spec"]["templates"][1]["outputs"]["artifacts"] = [{"name": "m", "path": "/m", "s3": {"key": "k"}}]
    assert unsupported(manifest) == []
    assert sorted(unused(manifest)) == [
        "spec.nodeSelector",
        f"{STEP}.container.imagePullPolicy",
        f"{STEP}.container.resources",
        f"{STEP}.outputs.artifacts[0].s3",
        f"{STEP}.podSpecPatch",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("/tmp/a", "/run/tmp/a", id="whole"),
        pytest.param("cat </tmp/a >>/tmp/b", "cat </run/tmp/a >>/run/tmp/b", id="in-a-script"),
        pytest.param("--out=/tmp", "--out=/run/tmp", id="folder"),
        pytest.param("'/tmp/a' \"/tmp/b\"", "'/run/tmp/a' \"/run/tmp/b\"", id="quoted"),
        pytest.param("/var/tmp/a", "/var/tmp/a", id="another-tmp"),
        pytest.param("/tmpfile /tmp.d", "/tmpfile /tmp.d", id="another-name"),
        pytest.param("file:///tmp/a", "file:///tmp/a", id="uri"),
        pytest.param("/mnt/v/x /mnt/vx /mnt", "/run/v/x /mnt/vx /mnt", id="volume"),
        pytest.param("cp /out/a /out/ab", "cp /run/root/out/a /out/ab", id="file"),
    ],
)
def test_own_paths_are_replaced_where_they_cannot_be_mounted(text: str, expected: str) -> None:
    folders = {"/tmp": Path("/run/tmp"), "/mnt/v": Path("/run/v")}
    assert Places(Path("/run/root"), folders, frozenset({"/out/a"}), frozenset()).text(text) == expected
    assert Places(Path("/run/root"), folders, frozenset({"/out/a"}), frozenset({*folders, "/out/a"})).text(text) == text


def test_a_value_is_never_expanded_again() -> None:
    assert substitute("{{a}} {{ b }}", {"a": "{{b}}", "b": "1"}) == "{{b}} 1"
