"""Which templates the local engine executes, in which order and with which parameters, with real processes."""

# ruff: noqa: E501 - a step is one line of YAML, as templates are read

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.workflows.base import OutputQuery
from tests.unit.workflows.graph_kit import in_order, nodes, phases, run, start, trace
from tests.unit.workflows.local_kit import ended

if TYPE_CHECKING:
    from pathlib import Path

SUCCEEDS = [
    pytest.param(
        """
        - name: main
          steps:
          - [{name: a, template: say, arguments: {parameters: [{name: word, value: one}]}}]
          - - {name: b, template: say, arguments: {parameters: [{name: word, value: "{{steps.a.outputs.result}} two"}]}}
            - {name: c, template: say, arguments: {parameters: [{name: word, value: three}]}}
          - [{name: d, template: say, arguments: {parameters: [{name: word, value: "{{steps.b.status}}"}]}}]
        """,
        ["one", "one two|three", "Succeeded"],
        id="steps-one-group-after-the-other-with-results",
    ),
    pytest.param(
        """
        - name: main
          dag:
            tasks:
            - {name: first, template: inner, arguments: {parameters: [{name: x, value: a}]}}
            - {name: second, depends: first, template: inner, arguments: {parameters: [{name: x, value: "{{tasks.first.outputs.parameters.y}}"}]}}
        - name: inner
          inputs: {parameters: [{name: x}]}
          steps:
          - [{name: deep, template: leave, arguments: {parameters: [{name: word, value: "{{inputs.parameters.x}}+"}]}}]
          outputs: {parameters: [{name: y, valueFrom: {parameter: "{{steps.deep.outputs.parameters.left}}"}}]}
        """,
        ["a+", "a++"],
        id="steps-in-a-dag-with-outputs",
    ),
    pytest.param(
        """
        - name: main
          steps: [[{name: count, template: down, arguments: {parameters: [{name: n, value: 3}]}}]]
        - name: down
          inputs: {parameters: [{name: n}]}
          steps:
          - [{name: now, template: say, arguments: {parameters: [{name: word, value: "{{inputs.parameters.n}}"}]}}]
          - - name: next
              template: down
              when: "{{inputs.parameters.n}} > 1"
              arguments: {parameters: [{name: n, value: "{{=asInt(inputs.parameters.n) - 1}}"}]}
        """,
        ["3", "2", "1"],
        id="recursion-until-a-condition",
    ),
    pytest.param(
        """
        - name: main
          steps:
          - [{name: flip, template: say, arguments: {parameters: [{name: word, value: heads}]}}]
          - - {name: a, template: say, when: "{{steps.flip.outputs.result}} == heads"}
            - {name: b, template: fail, when: "{{steps.flip.outputs.result}} == tails"}
            - {name: c, template: fail, when: "'{{steps.flip.outputs.result}}' =~ 't' || 2 > 10"}
            - {name: d, template: fail, when: "!( {{steps.flip.outputs.result}} in ('heads', 'tails') )"}
          - [{name: e, template: say, arguments: {parameters: [{name: word, value: "b was {{steps.b.status}}"}]}}]
        """,
        ["heads", "said", "b was Skipped"],
        id="when",
    ),
    pytest.param(
        """
        - name: main
          dag:
            tasks:
            - {name: a, template: fail}
            - {name: b, depends: a.Failed, template: say, arguments: {parameters: [{name: word, value: "{{tasks.a.status}} {{tasks.a.exitCode}}"}]}}
            - {name: c, depends: "a.Succeeded || b.Succeeded", template: say, arguments: {parameters: [{name: word, value: c}]}}
            - {name: d, depends: "!a.Errored && (b.Skipped || c)", template: say, arguments: {parameters: [{name: word, value: d}]}}
        """,
        ["failed", "Failed 1", "c", "d"],
        id="depends-on-how-a-task-ended",
    ),
    pytest.param(
        """
        - name: main
          dag:
            tasks:
            - {name: some, template: fail, withItems: ["0", "1"], arguments: {parameters: [{name: word, value: x}, {name: code, value: "{{item}}"}]}}
            - {name: none, template: fail, withItems: [1, 2], arguments: {parameters: [{name: word, value: x}]}}
            - {name: a, depends: some.AnySucceeded, template: say, arguments: {parameters: [{name: word, value: any}]}}
            - {name: b, depends: none.AllFailed && !some.AllFailed && !none.AnySucceeded && a, template: say, arguments: {parameters: [{name: word, value: all}]}}
        """,
        ["x|x|x|x", "any", "all"],
        id="depends-on-the-items-of-a-loop",
    ),
    pytest.param(
        """
        - name: main
          dag:
            tasks:
            - {name: a, template: fail, when: "1 == 2"}
            - {name: b, depends: a, template: say, arguments: {parameters: [{name: word, value: b}]}}
            - {name: c, dependencies: [a], depends: a.Skipped, template: say, arguments: {parameters: [{name: word, value: c}]}}
        """,
        ["b|c"],
        id="depends-on-a-skipped-task",
    ),
    pytest.param(
        """
        - name: main
          steps:
          - [{name: a, template: fail, continueOn: {failed: true}}]
          - [{name: b, template: say}]
        """,
        ["failed", "said"],
        id="continue-on-failure-in-steps",
    ),
    pytest.param(
        """
        - name: main
          dag:
            tasks:
            - {name: a, template: fail, continueOn: {failed: true}}
            - {name: b, dependencies: [a], template: say}
            - {name: c, template: fail, continueOn: {failed: true}}
        """,
        ["failed|failed|said"],
        id="continue-on-failure-in-a-dag",
    ),
    pytest.param(
        """
        - name: main
          dag:
            target: "{{inputs.parameters.which}} d"
            tasks:
            - {name: a, template: say, arguments: {parameters: [{name: word, value: a}]}}
            - {name: b, depends: a, template: say, arguments: {parameters: [{name: word, value: b}]}}
            - {name: c, depends: a, template: fail}
            - {name: d, depends: b, template: say, arguments: {parameters: [{name: word, value: d}]}}
          inputs: {parameters: [{name: which, value: b}]}
        """,
        ["a", "b", "d"],
        id="only-the-targets-of-a-dag",
    ),
    pytest.param(
        "[{name: main, steps: [[{name: a, template: twice-bad}]]}]", ["try 0", "try 1", "try 2"], id="retries"
    ),
    pytest.param(
        """
        - name: main
          steps:
          - - {name: a, template: say, withItems: [x, 1, true, 1.5], arguments: {parameters: [{name: word, value: "{{item}}"}]}}
            - {name: b, template: say, withItems: [{n: y, list: [1]}], arguments: {parameters: [{name: word, value: "{{item.n}} {{item.list}}"}]}}
          - [{name: c, template: say, withParam: '["p", "q"]', arguments: {parameters: [{name: word, value: "{{item}}"}]}}]
          - [{name: d, template: say, withSequence: {start: 3, end: "1", format: "v%02d"}, arguments: {parameters: [{name: word, value: "{{item}}"}]}}]
          - [{name: e, template: say, withSequence: {count: 2}, when: "{{item}} != 0", arguments: {parameters: [{name: word, value: "{{item}}"}]}}]
          - [{name: f, template: fail, withParam: "[]"}]
        """,
        ["x|1|true|1.5|y [1]", "p|q", "v03|v02|v01", "1"],
        id="loops",
    ),
    pytest.param(
        """
        - name: main
          steps:
          - [{name: a, template: leave, withItems: [x, y], arguments: {parameters: [{name: word, value: "{{item}}"}]}}]
          - - {name: b, template: say, arguments: {parameters: [{name: word, value: '{{=toJson(steps.a.outputs.parameters.left)}}'}]}}
          - [{name: c, template: say, withParam: "{{steps.a.outputs.parameters}}", arguments: {parameters: [{name: word, value: "{{item.left}}!"}]}}]
          - [{name: d, template: say, withSequence: {count: "2"}, arguments: {parameters: [{name: word, value: "{{item}}"}]}}]
          - [{name: e, template: say, withParam: "{{steps.d.outputs.result}}", arguments: {parameters: [{name: word, value: "<{{item}}>"}]}}]
        """,
        ["x|y", '["x","y"]', "x!|y!", "0|1", "<0>|<1>"],
        id="what-a-loop-leaves",
    ),
    pytest.param(
        """
        onExit: last
        templates:
        - {name: main, steps: [[{name: a, template: say}]]}
        - {name: last, steps: [[{name: z, template: say, arguments: {parameters: [{name: word, value: "{{workflow.status}} {{workflow.failures}}"}]}}]]}
        """,
        ["said", "Succeeded []"],
        id="exit-handler",
    ),
    pytest.param(
        """
        hooks:
          running: {template: say, expression: 'workflow.status == "Running"', arguments: {parameters: [{name: word, value: running}]}}
          failed: {template: fail, expression: 'workflow.status == "Failed"'}
          exit: {template: say, arguments: {parameters: [{name: word, value: "{{workflow.status}}"}]}}
        templates:
        - {name: main, steps: [[{name: a, template: say}]]}
        """,
        ["running|said", "Succeeded"],
        id="hooks-of-the-workflow",
    ),
    pytest.param(
        """
        - name: main
          steps:
          - - name: a
              template: say
              hooks:
                exit: {template: say, arguments: {parameters: [{name: word, value: "after {{steps.a.outputs.result}}"}]}}
                good: {template: say, expression: 'steps.a.status == "Succeeded"', arguments: {parameters: [{name: word, value: good}]}}
                bad: {template: say, expression: 'steps.a.status == "Failed"', arguments: {parameters: [{name: word, value: bad}]}}
          - [{name: b, template: say, onExit: say, arguments: {parameters: [{name: word, value: b}]}}]
        """,
        ["said", "good|after said", "b", "said"],
        id="hooks-of-steps",
    ),
    pytest.param(
        """
        templateDefaults: {retryStrategy: {limit: 1}, timeout: 50s, script: {env: [{name: X, value: from-defaults}]}}
        templates:
        - name: main
          steps: [[{name: w, template: pause}], [{name: s, template: flaky}]]
        - {name: pause, suspend: {duration: "0.1"}}
        - {name: flaky, script: {command: [sh], source: 'echo {{retries}} $X >> trace; test {{retries}} = 1'}}
        """,
        ["0 from-defaults", "1 from-defaults"],
        id="suspend-for-a-time-and-template-defaults",
    ),
    pytest.param(
        """
        arguments: {parameters: [{name: p, value: P}]}
        templates:
        - name: main
          inputs: {parameters: [{name: own, value: "{{workflow.parameters.p}}2", enum: [P2]}]}
          dag:
            tasks:
            - name: a
              inline:
                inputs: {parameters: [{name: z}]}
                container: {command: [sh, -c], args: ["echo {{inputs.parameters.z}}{{inputs.parameters.own}} {{workflow.labels.team}} >> trace"]}
              arguments: {parameters: [{name: z, value: Z}]}
            - {name: b, depends: a, template: say, arguments: {parameters: [{name: word, value: "{{=inputs.parameters.own == 'P2' ? 'yes' : 'no'}}"}]}}
        """,
        ["ZP2 a", "yes"],
        id="inline-and-expressions",
    ),
]


@pytest.mark.parametrize(("text", "groups"), SUCCEEDS)
def test_what_runs_in_which_order_with_which_parameters(tmp_path: Path, text: str, groups: list[str]) -> None:
    end = run(tmp_path, text)
    assert (end.phase, end.message) == ("Succeeded", "")
    assert in_order(trace(tmp_path), *groups), trace(tmp_path)


FAILS = [
    pytest.param(
        """
        - name: main
          steps:
          - - {name: a, template: fail}
            - {name: b, template: say}
          - [{name: c, template: say}]
        """,
        ("Failed", "a: exit code 1: broken"),
        ["failed|said"],
        id="a-failed-step-ends-the-steps-after-its-group",
    ),
    pytest.param(
        "[{name: main, dag: {tasks: [{name: a, template: fail}, {name: b, depends: a, template: say}, {name: c, depends: a.Failed, template: say}]}}]",
        ("Failed", "a: exit code 1: broken"),
        ["failed", "said"],
        id="a-failure-counts-if-a-last-task-is-left-out",
    ),
    pytest.param(
        "[{name: main, steps: [[{name: again, template: main}]]}]",
        ("Error", "again" + ".again" * 100 + ": templates use each other more than 100 levels deep"),
        [],
        id="recursion-without-end",
    ),
    pytest.param(
        """
        - name: main
          steps:
          - [{name: a, template: say}]
          - [{name: b, template: say, when: "{{steps.a.outputs.result}} > 3"}]
        """,
        ("Error", "b: when 'said > 3': '>' not supported between instances of 'str' and 'int'"),
        ["said"],
        id="a-condition-that-compares-a-text-with-a-number",
    ),
    pytest.param(
        "[{name: main, steps: [[{name: a, template: say}], [{name: b, template: say, withParam: '{{steps.a.outputs.result}}'}]]}]",
        ("Error", "b: withParam must be a JSON list, and is 'said'"),
        ["said"],
        id="with-param-that-is-no-list",
    ),
    pytest.param(
        "[{name: main, steps: [[{name: a, template: say, withSequence: {count: 5000}}]]}]",
        ("Error", "a: the loop has 5000 items; the local engine takes at most 1000"),
        [],
        id="a-loop-with-too-many-items",
    ),
    pytest.param(
        """
        - name: main
          steps: [[{name: a, template: tried}]]
        - name: tried
          retryStrategy: {limit: 1, backoff: {duration: "0.1s", factor: 2}}
          container: {command: [sh, -c], args: ["echo {{retries}} >> trace; exit 2"]}
        """,
        ("Failed", "a(1): exit code 2; no more retries left"),
        ["0", "1"],
        id="no-more-retries",
    ),
    pytest.param(
        """
        - name: main
          retryStrategy: {limit: 5, expression: "asInt(lastRetry.exitCode) < 2 && lastRetry.status == 'Failed'"}
          container: {command: [sh, -c], args: ["echo {{retries}} >> trace; exit $((1 + {{retries}}))"]}
        """,
        ("Failed", "main(1): exit code 2; retryStrategy.expression evaluated to false"),
        ["0", "1"],
        id="an-expression-ends-the-retries",
    ),
    pytest.param(
        """
        - name: main
          retryStrategy: {limit: 5, retryPolicy: OnError}
          container: {command: [sh, -c], args: ["echo x >> trace; exit 1"]}
        """,
        ("Failed", "main(0): exit code 1; not retried: retryPolicy OnError"),
        ["x"],
        id="a-failure-is-no-error",
    ),
    pytest.param(
        """
        onExit: last
        templates:
        - {name: main, steps: [[{name: a, template: fail}]]}
        - {name: last, container: {command: [sh, -c], args: ["echo {{workflow.status}} >> trace; exit 7"]}}
        """,
        ("Failed", "a: exit code 1: broken"),
        ["failed", "Failed"],
        id="the-exit-handler-of-a-failed-run-changes-nothing",
    ),
    pytest.param(
        """
        hooks: {exit: {template: fail, arguments: {parameters: [{name: word, value: "{{workflow.status}}"}]}}}
        templates:
        - {name: main, steps: [[{name: a, template: say}]]}
        """,
        ("Failed", "onExit: exit code 1: broken"),
        ["said", "Succeeded"],
        id="a-failed-exit-handler-fails-the-run",
    ),
    pytest.param(
        """
        - name: main
          steps: [[{name: a, template: slow}], [{name: b, template: say}]]
        - name: slow
          activeDeadlineSeconds: "{{=0.2 + 0.1}}"
          container: {command: [sleep, "60"]}
        """,
        ("Failed", "a: took longer than its bound of 0.3 s"),
        [],
        id="the-deadline-of-a-template",
    ),
    pytest.param(
        """
        - name: main
          steps: [[{name: a, template: pick, arguments: {parameters: [{name: x, value: green}]}}]]
        - name: pick
          inputs: {parameters: [{name: x, enum: [red, blue]}]}
          container: {command: ["true"]}
        """,
        ("Error", "a: x must be one of red, blue, and is 'green'"),
        [],
        id="a-value-that-is-not-allowed",
    ),
    pytest.param(
        """
        - name: main
          steps:
          - [{name: a, template: leave, when: "1 > 2", arguments: {parameters: [{name: word, value: x}]}}]
          - [{name: b, template: say, arguments: {parameters: [{name: word, value: "{{steps.a.outputs.parameters.left}}"}]}}]
        """,
        ("Error", "b: {{steps.a.outputs.parameters.left}} has no value"),
        [],
        id="an-output-of-a-skipped-step",
    ),
    pytest.param(
        """
        - name: main
          parallelism: 1
          failFast: true
          steps: [[{name: a, template: fail, withItems: [x, y, z], arguments: {parameters: [{name: word, value: "{{item}}"}]}}]]
        """,
        ("Failed", "a(0:x): exit code 1: broken"),
        ["x"],
        id="fail-fast-of-items",
    ),
]


@pytest.mark.parametrize(("text", "end", "groups"), FAILS)
def test_how_a_run_fails(tmp_path: Path, text: str, end: tuple[str, str], groups: list[str]) -> None:
    seen = run(tmp_path, text)
    assert (seen.phase, seen.message) == end
    assert in_order(trace(tmp_path), *groups), trace(tmp_path)


@pytest.mark.parametrize(
    ("fail_fast", "after"), [pytest.param("true", [], id="fail-fast"), pytest.param("false", ["after"], id="not-fast")]
)
def test_tasks_apart_from_a_failed_one(tmp_path: Path, fail_fast: str, after: list[str]) -> None:
    text = f"""
    - name: main
      dag:
        failFast: {fail_fast}
        tasks:
        - {{name: bad, template: fail}}
        - {{name: slow, template: wait}}
        - {{name: next, depends: slow, template: say, arguments: {{parameters: [{{name: word, value: after}}]}}}}
    - name: wait
      container: {{command: [sh, -c], args: ["until grep -q Failed $RETRAINER_LOCAL_RUN/nodes.json; do sleep 0.02; done"]}}
    """
    end = run(tmp_path, text)
    assert (end.phase, end.message) == ("Failed", "bad: exit code 1: broken")
    assert trace(tmp_path) == ["failed", *after]


def test_the_nodes_are_written_down(tmp_path: Path) -> None:
    end = run(
        tmp_path,
        """
        - name: main
          dag:
            tasks:
            - {name: fan, template: say, withItems: [a/b, c], arguments: {parameters: [{name: word, value: "{{item}}"}]}}
            - {name: inner, depends: fan, template: inner}
            - {name: not, depends: fan, when: "1 == 2", template: say}
            - {name: never, depends: inner.Failed, template: say}
        - {name: inner, steps: [[{name: deep, template: twice-bad}]]}
        """,
    )
    assert (end.phase, end.progress) == ("Succeeded", "4/5")
    assert {name: (node["kind"], node["phase"], node["folder"]) for name, node in nodes(tmp_path).items()} == {
        "main": ("DAG", "Succeeded", ""),
        "fan(0:a b)": ("Pod", "Succeeded", "fan.0.a.b"),
        "fan(1:c)": ("Pod", "Succeeded", "fan.1.c"),
        "inner": ("Steps", "Succeeded", ""),
        "not": ("Skipped", "Skipped", ""),
        "never": ("Skipped", "Omitted", ""),
        "inner.deep(0)": ("Pod", "Failed", "inner.deep.0"),
        "inner.deep(1)": ("Pod", "Failed", "inner.deep.1"),
        "inner.deep(2)": ("Pod", "Succeeded", "inner.deep.2"),
    }
    assert nodes(tmp_path)["not"]["message"] == "when '1 == 2' evaluated false"


def test_nodes_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    engine = start(
        tmp_path,
        """
        - name: main
          steps: [[{name: a, template: inner, onExit: say}]]
        - name: inner
          steps: [[{name: onExit, template: say, arguments: {parameters: [{name: word, value: inner}]}}]]
        """,
    )
    assert ended(engine).phase == "Succeeded"
    found = [(one.step, b"inner" in one.text) for one in engine.outputs("ml", "w1", OutputQuery(10))]
    assert sorted(found) == [("a.onExit", False), ("a.onExit", True)]


def test_logs_are_found_by_the_names_of_nodes(tmp_path: Path) -> None:
    engine = start(
        tmp_path,
        """
        - name: main
          steps:
          - [{name: fan, template: say, withItems: [a, b], arguments: {parameters: [{name: word, value: "<{{item}}>"}]}}]
          - [{name: fan2, template: say}]
        """,
    )
    ended(engine)
    found = {one.step: one.text for one in engine.outputs("ml", "w1", OutputQuery(10, "fan"))}
    assert found.keys() == {"fan(0:a)", "fan(1:b)"}
    assert set(found["fan(0:a)"].split(b"\n")) == {b"<a>", b"to the log"}
    assert [one.step for one in engine.outputs("ml", "w1", OutputQuery(10, "fan(1:b)"))] == ["fan(1:b)"]


def test_outputs_of_the_run(tmp_path: Path) -> None:
    end = run(
        tmp_path,
        """
        - name: main
          steps:
          - [{name: a, template: publish}]
          - [{name: b, template: say, arguments: {parameters: [{name: word, value: "{{workflow.outputs.parameters.best}}"}]}}]
          - [{name: c, template: say, when: "1 > 2"}]
          outputs:
            parameters:
            - {name: sum, valueFrom: {expression: "asInt(steps.a.outputs.parameters.auc) + 1"}}
            - {name: text, valueFrom: {parameter: "{{steps.b.outputs.result}} of {{workflow.name}}"}}
            - {name: skipped, valueFrom: {parameter: "{{steps.c.outputs.result}}", default: "not {{workflow.name}}"}}
        - name: publish
          script: {command: [sh], source: echo 41 > /tmp/auc}
          outputs: {parameters: [{name: auc, globalName: best, valueFrom: {path: /tmp/auc}}]}
        """,
    )
    assert (end.phase, end.message) == ("Succeeded", "")
    assert end.outputs == {"best": "41", "sum": "42", "text": "41 of w1", "skipped": "not w1"}


def test_parallelism_bounds_what_runs_at_once(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        parallelism: 1
        templates:
        - name: main
          steps: [[{name: a, template: one, withItems: [1, 2, 3]}]]
        - name: one
          container: {command: [sh, -c], args: ["echo begin >> trace; sleep 0.05; echo end >> trace"]}
        """,
    )
    assert trace(tmp_path) == ["begin", "end"] * 3


def test_templates_of_other_workflow_templates(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/lib.yaml").write_text("""
kind: ClusterWorkflowTemplate
metadata: {name: lib}
spec:
  templates:
  - {name: outer, steps: [[{name: in, template: inner, arguments: {parameters: [{name: x, value: "{{workflow.parameters.p}}"}]}}]]}
  - name: inner
    inputs: {parameters: [{name: x}]}
    container: {command: [sh, -c], args: ["echo lib {{inputs.parameters.x}} >> trace"]}
""")
    end = run(
        tmp_path,
        """
        arguments: {parameters: [{name: p, value: P}]}
        templates:
        - {name: main, dag: {tasks: [{name: a, templateRef: {name: lib, template: outer, clusterScope: true}}]}}
        - {name: inner, container: {command: ["false"]}}
        """,
    )
    assert (end.phase, end.message, trace(tmp_path)) == ("Succeeded", "", ["lib P"])
    assert phases(tmp_path)["a.in"] == "Succeeded"
