"""What the local engine refuses in the graph of a template before anything starts, with the path of the field."""

# ruff: noqa: E501 - a template and what is wrong with it are one line

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from retrainer.workflows.base import Refused
from retrainer.workflows.local.template import unsupported
from tests.unit.workflows.graph_kit import spec
from tests.unit.workflows.local_kit import engine_at

if TYPE_CHECKING:
    from pathlib import Path

A, STEP = "spec.templates[0]", "spec.templates[0].steps[0][0]"


def found(text: str) -> list[tuple[str, str]]:
    return unsupported({"spec": spec(text)})


def step(text: str) -> str:
    """Return templates with a single step, whose fields are the text."""
    return f"[{{name: main, steps: [[{{name: a, {text}}}]]}}]"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        pytest.param(step("template: none"), f"{STEP}.template", "no template 'none'; there are fail, leave, main", id="template"),
        pytest.param(step("arguments: {}"), STEP, "needs one of template, templateRef, inline", id="no-template"),
        pytest.param(step("template: say, inline: {container: {command: [x]}}"), STEP, "needs one of", id="two"),
        pytest.param(step("template: leave"), f"{STEP}.arguments", "'leave' needs the parameter 'word'", id="argument"),
        pytest.param(step("template: say, when: '1 = 2'"), f"{STEP}.when", "cannot be read from '= 2' on", id="when"),
        pytest.param(step("template: say, when: a and b)"), f"{STEP}.when", "does not end before ')'", id="parenthesis"),
        pytest.param(step("template: say, when: '{{item}} == 1'"), f"{STEP}.when", "cannot fill {{item}}", id="no-loop"),
        pytest.param(step("template: say, when: '{{steps.a.status}} == x'"), f"{STEP}.when", "cannot fill {{steps.a.status}}", id="itself"),
        pytest.param(step("template: say, withItems: [1], withParam: '[]'"), STEP, "may have one of withItems and withParam", id="two-loops"),
        pytest.param(step("template: say, withItems: x"), f"{STEP}.withItems", "must be a list", id="items"),
        pytest.param(step("template: say, withItems: ['{{x}}']"), f"{STEP}.withItems[0]", "cannot fill {{x}}", id="item-tag"),
        pytest.param(step("template: say, withParam: '{{steps.b.outputs.result}}'"), f"{STEP}.withParam", "cannot fill", id="param"),
        pytest.param(step("template: say, withSequence: {start: 1}"), f"{STEP}.withSequence", "needs either `count` or `end`", id="sequence"),
        pytest.param(step("template: say, continueOn: {failed: 1}"), f"{STEP}.continueOn.failed", "must be true or false", id="continue-on"),
        pytest.param(step("template: say, continueOn: {error: true, skipped: true}"), f"{STEP}.continueOn.skipped", "supports error, failed", id="continue-on-what"),
        pytest.param(step("template: say, onExit: no"), f"{STEP}.onExit", "must be a name", id="on-exit-boolean"),
        pytest.param(step("template: say, onExit: none"), f"{STEP}.onExit", "there is no template 'none'", id="on-exit"),
        pytest.param(step("template: say, onExit: leave"), f"{STEP}.onExit", "needs the parameter 'word'; it gets those of the workflow", id="on-exit-parameter"),
        pytest.param(step("template: say, hooks: {exit: {template: none}}"), f"{STEP}.hooks.exit.template", "no template 'none'", id="hook"),
        pytest.param(step("template: say, hooks: {go: {template: say}}"), f"{STEP}.hooks.go", "needs an `expression`", id="hook-condition"),
        pytest.param(step("template: say, hooks: {go: {template: say, expression: 'x =='}}"), f"{STEP}.hooks.go.expression", "a value is missing", id="hook-expression"),
        pytest.param(step("inline: {suspend: {duration: 1s}}"), f"{STEP}.inline.suspend", "does not support this", id="inline"),
        pytest.param(step("inline: {container: {command: [echo, '{{nothing}}']}}"), f"{STEP}.inline.container.command[1]", "cannot fill {{nothing}}", id="inline-tag"),
        pytest.param(step("template: say, templateRef: {name: x, template: y}"), STEP, "needs one of", id="reference-too"),
        pytest.param("[{name: main, steps: [{name: a, template: say}]}]", f"{A}.steps[0]", "must be a list", id="steps-flat"),
        pytest.param("[{name: main, steps: [[{name: a, template: say}], [{name: a, template: say}]]}]", f"{A}.steps", "two steps have the same name", id="twice"),
        pytest.param("[{name: main, steps: [[{name: a, template: say}, {name: b, template: say, when: '{{steps.a.status}} == x'}]]}]", f"{A}.steps[0][1].when", "cannot fill {{steps.a.status}}", id="beside"),
        pytest.param("[{name: main, steps: [[{name: a, template: say}]], outputs: {parameters: [{name: x, valueFrom: {parameter: '{{steps.a.outputs.parameters.no}}'}}]}}]", f"{A}.outputs.parameters[0].valueFrom.parameter", "cannot fill {{steps.a.outputs.parameters.no}}", id="output"),
        pytest.param("[{name: main, steps: [[{name: a, template: say}]], outputs: {parameters: [{name: x, valueFrom: {expression: 'steps.b.status'}}]}}]", f"{A}.outputs.parameters[0].valueFrom.expression", "cannot fill 'steps.b.status' in an expression", id="output-expression"),
        pytest.param("[{name: main, steps: [[{name: a, template: file}]]}, {name: file, inputs: {artifacts: [{name: f, path: /tmp/f}]}, container: {command: [x]}}]", f"{STEP}.arguments", "template 'file' needs the artifact 'f'", id="artifact"),
        pytest.param("[{name: main, steps: [[{name: a, template: file, arguments: {artifacts: [{name: f, from: '{{steps.b.outputs.artifacts.x}}'}]}}]]}, {name: file, inputs: {artifacts: [{name: f, path: /tmp/f}]}, container: {command: [x]}}]", f"{STEP}.arguments.artifacts[0].from", "cannot fill {{steps.b.outputs.artifacts.x}}", id="artifact-from"),
        pytest.param("[{name: main, steps: [[{name: a, template: say}]], outputs: {artifacts: [{name: f, fromExpression: steps.b.outputs.artifacts.x}]}}]", f"{A}.outputs.artifacts[0].fromExpression", "cannot fill 'steps.b.outputs.artifacts.x' in an expression", id="artifact-expression"),
        pytest.param("[{name: main, steps: [[{name: list, template: say}], [{name: b, template: say, withParam: '{{steps.lst.outputs.result}}'}]]}]", f"{A}.steps[1][0].withParam", "here; it could fill steps.list.outputs.result, ", id="similar"),
        pytest.param("[{name: main, suspend: {}}]", f"{A}.suspend.duration", "nobody can resume a run", id="suspend"),
        pytest.param("[{name: main, suspend: {duration: soon}}]", f"{A}.suspend.duration", "'soon' is no duration: write 30s", id="duration"),
        pytest.param("[{name: main, parallelism: 0, steps: []}]", f"{A}.parallelism", "must be 1 or more", id="parallelism"),
        pytest.param("[{name: main, timeout: 1m, steps: []}]", f"{A}.timeout", "only a container or a script may have it", id="timeout"),
        pytest.param("[{name: main, container: {command: [x]}, activeDeadlineSeconds: 1 day}]", f"{A}.activeDeadlineSeconds", "'1 day' is no duration", id="deadline"),
        pytest.param("[{name: main, container: {command: [x]}, retryStrategy: {limit: many}}]", f"{A}.retryStrategy.limit", "must be a whole number", id="limit"),
        pytest.param("[{name: main, container: {command: [x]}, retryStrategy: {retryPolicy: Never}}]", f"{A}.retryStrategy.retryPolicy", "must be one of Always, OnFailure", id="policy"),
        pytest.param("[{name: main, container: {command: [x]}, retryStrategy: {backoff: {duration: 1w}}}]", f"{A}.retryStrategy.backoff.duration", "'1w' is no duration", id="backoff"),
        pytest.param("[{name: main, container: {command: [x]}, retryStrategy: {expression: 'lastRetry.status = 1'}}]", f"{A}.retryStrategy.expression", "cannot be read from '= 1' on", id="retry-expression"),
        pytest.param("[{name: main, container: {command: [x, '{{retries}}']}}]", f"{A}.container.command[1]", "cannot fill {{retries}}", id="retries"),
        pytest.param("[{name: main, container: {command: [x, '{{=inputs.parameters.q}}']}}]", f"{A}.container.command[1]", "cannot fill 'inputs.parameters.q' in an expression", id="variable"),
        pytest.param("[{name: main, dag: {tasks: [{name: a, template: say, depends: b.Done}, {name: b, template: say}]}}]", f"{A}.dag.tasks[0].depends", "b.Done: a task ends as one of Succeeded, Failed", id="result"),
        pytest.param("[{name: main, dag: {tasks: [{name: b, template: say}, {name: a, template: say, depends: b &}]}}]", f"{A}.dag.tasks[1].depends", "join tasks by &&, ||, ! and parentheses", id="depends"),
        pytest.param("[{name: main, dag: {target: c, tasks: [{name: b, template: say}]}}]", f"{A}.dag.target", "there is no task 'c'; there are b", id="target"),
        pytest.param("{onExit: none, templates: [{name: main, steps: []}]}", "spec.onExit", "there is no template 'none'", id="exit-handler"),
        pytest.param("{parallelism: many, templates: [{name: main, steps: []}]}", "spec.parallelism", "must be a whole number", id="run-parallelism"),
        pytest.param("{templateDefaults: {dag: 1, retries: 2}, templates: [{name: main, steps: []}]}", f"{A}.retries", "does not support this", id="defaults"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, path: str, message: str) -> None:
    problems = [(at, why) for at, why in found(text) if at.startswith((A, "spec.onExit", "spec.parallelism"))]
    assert [at for at, _ in problems] == [path], problems
    assert message in problems[0][1]


LIBRARY: dict[str, Any] = yaml.safe_load("""
kind: WorkflowTemplate
metadata: {name: lib}
spec: {templates: [{name: good, inputs: {parameters: [{name: x}]}, container: {command: [echo, "{{workflow.parameters.p}}"]}}]}
""")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        pytest.param("{name: lib, template: bad}", "templateRef: there is no template 'bad' in a WorkflowTemplate 'lib'", id="template"),
        pytest.param("{name: lib, template: good, clusterScope: true}", "in a ClusterWorkflowTemplate 'lib' of this folder", id="kind"),
        pytest.param("{name: lib, template: good}", "arguments: template 'good' needs the parameter 'x'", id="parameter"),
    ],
)  # fmt: skip
def test_references_are_checked_by_validate_and_before_a_run(tmp_path: Path, reference: str, message: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/lib.yaml").write_text(yaml.safe_dump(LIBRARY))
    engine = engine_at(tmp_path)
    assert engine.check() == []
    own = spec(step(f"templateRef: {reference}"))
    (tmp_path / "templates/own.yaml").write_text(
        yaml.safe_dump({"kind": "WorkflowTemplate", "metadata": {"name": "own"}, "spec": own})
    )
    (problem,) = engine.check()
    assert problem.startswith(f"{tmp_path}/templates/own.yaml: {STEP}.")
    assert message in problem
    manifest = {"metadata": {"name": "w1", "namespace": "ml"}, "spec": {"workflowTemplateRef": {"name": "own"}}}
    with pytest.raises(Refused) as error:
        engine.create(manifest, timeout=5)
    assert f"{STEP}." in str(error.value)
    assert message in str(error.value)
    assert not (tmp_path / "runs/ml/w1").exists()


@pytest.mark.parametrize("templates", ["x", [3], [{"name": "good", "inputs": [], "container": {"command": ["x"]}}]])
def test_a_reference_to_a_template_with_errors(tmp_path: Path, templates: Any) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/lib.yaml").write_text(yaml.safe_dump({**LIBRARY, "spec": {"templates": templates}}))
    own = spec(step("templateRef: {name: lib, template: good}"))
    with pytest.raises(Refused, match="no template 'good' in a WorkflowTemplate 'lib' of this folder that is without"):
        engine_at(tmp_path).create({"metadata": {"name": "w1", "namespace": "ml"}, "spec": own}, timeout=5)


def test_a_template_without_entrypoint_is_used_by_others_only(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/lib.yaml").write_text(yaml.safe_dump(LIBRARY))
    manifest = {"metadata": {"name": "w1", "namespace": "ml"}, "spec": {"workflowTemplateRef": {"name": "lib"}}}
    engine = engine_at(tmp_path)
    with pytest.raises(Refused, match=r"spec\.entrypoint: is needed"):
        engine.create(manifest, timeout=5)
    with pytest.raises(Refused, match=r"template lib: spec\.entrypoint is needed"):
        engine.template("ml", "lib", cluster=False)
