"""The local engine, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from retrainer.workflows.base import AlreadyExists, Observed, Refused
from retrainer.workflows.local import engine as local_engine
from retrainer.workflows.manifest import manifest
from tests.unit.workflows.local_kit import SHELL, ended, engine_at, is_alive, pid_in, running, workflow
from tests.unit.workflows.samples import a_run
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.workflows.local.engine import LocalEngine


CHAIN = """
apiVersion: argoproj.io/v1alpha1
kind: ClusterWorkflowTemplate
metadata: {name: chain}
spec:
  entrypoint: chain
  arguments: {parameters: [{name: start, value: 2}]}
  templates:
    - name: chain
      dag:
        tasks:
          - {name: a, template: add, arguments: {parameters: [{name: x, value: "{{workflow.parameters.start}}"}]}}
          - name: b
            template: add
            dependencies: [a]
            arguments: {parameters: [{name: x, value: "{{tasks.a.outputs.parameters.sum}}"}]}
          - name: c
            template: add
            depends: a
            arguments: {parameters: [{name: x, value: "{{tasks.a.outputs.parameters.sum}}0"}, {name: y, value: 5}]}
          - name: last
            template: show
            depends: b && c
            arguments:
              parameters:
                - {name: text, value: "{{tasks.b.outputs.parameters.sum}} and {{tasks.c.outputs.parameters.sum}}"}
      outputs:
        parameters: [{name: result, valueFrom: {parameter: "{{tasks.last.outputs.parameters.text}}"}}]
    - name: add
      inputs: {parameters: [{name: x}, {name: y, default: "1"}]}
      script:
        image: python:3.11
        command: [python]
        env: [{name: X, value: "{{inputs.parameters.x}}"}]
        source: |
          import os, pathlib
          pathlib.Path("/tmp/sum").write_text(str(int(os.environ["X"]) + {{inputs.parameters.y}}) + "\\n")
      outputs: {parameters: [{name: sum, valueFrom: {path: /tmp/sum}}]}
    - name: show
      inputs: {parameters: [{name: text}]}
      container:
        image: alpine
        command: [sh, -c]
        args: ['printf "%s in %s" "{{inputs.parameters.text}}" "{{workflow.namespace}}/{{workflow.name}}" > /tmp/text']
      outputs: {parameters: [{name: text, valueFrom: {path: /tmp/text}}]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "all.yaml").write_text(f"{SHELL}---{CHAIN}")
    return tmp_path


def test_why_it_was_born_stands_beside_the_workflow(home: Path) -> None:
    run = a_run(
        submit={"workflow_template": "shell"},
        parameters={"code": "true"},
        cause={"because": {"any": [{"trigger": "drift", "value": 0.31, "above": 0.2}]}},
    )
    engine = engine_at(home)
    engine.create(manifest(run, instance="here", instance_id=None), timeout=10)
    assert ended(engine, run.workflow).phase == "Succeeded"
    (folder,) = (home / "runs").glob(f"**/{run.workflow}")
    kept = json.loads((folder / "workflow.json").read_text())["annotations"]["retrainer.dev/cause"]
    assert json.loads(kept)["when"] == {"any": [{"trigger": "drift", "value": 0.31, "above": 0.2}]}


@pytest.fixture
def watched(home: Path) -> Iterator[tuple[LocalEngine, list[Observed]]]:
    engine, seen, stop = engine_at(home), list[Observed](), threading.Event()
    thread = threading.Thread(target=engine.watch, args=(seen.append, stop))
    thread.start()
    yield engine, seen
    stop.set()
    thread.join()


def test_a_run_succeeds_with_its_outputs_and_what_it_used(home: Path) -> None:
    engine = engine_at(home)
    code = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; mkdir $TMPDIR/out && echo it is $i > $TMPDIR/out/said"
    created = engine.create(workflow(code), timeout=5)
    assert (created.phase, created.run, created.namespace, created.name) == ("Pending", "run-w1", "ml", "w1")
    end = ended(engine)
    assert (end.phase, end.message, end.outputs) == ("Succeeded", "", {"said": "it is 20000"})
    assert (end.uid, end.run, end.progress) == (created.uid, "run-w1", "1/1")
    assert end.started_at is not None
    assert end.finished_at is not None
    assert end.started_at < end.finished_at
    assert end.resources["cpu"] > 0
    assert end.resources["memory"] > 0


def test_a_dag_passes_outputs_on(home: Path) -> None:
    engine = engine_at(home)
    manifest = workflow() | {"spec": {"workflowTemplateRef": {"name": "chain", "clusterScope": True}}}
    engine.create(manifest, timeout=5)
    end = ended(engine)
    assert (end.phase, end.message) == ("Succeeded", "")
    assert end.outputs == {"result": "4 and 35 in ml/w1"}
    assert end.progress == "4/4"


TAGGED: dict[str, Any] = {
    "entrypoint": "main",
    "arguments": {"parameters": [{"name": "p", "value": "hello"}, {"name": "name", "value": "SAID"}]},
    "templates": [
        {
            "name": "main",
            "inputs": {
                "parameters": [
                    {"name": "a", "value": "{{workflow.parameters.p}} {{ workflow.namespace }}"},
                    {"name": "b", "default": "{{workflow.name}}"},
                    {"name": "file", "value": "out"},
                ]
            },
            "script": {
                "command": ["sh"],
                "env": [{"name": "{{workflow.parameters.name}}", "value": "{{inputs.parameters.a}}"}],
                "source": 'printf "%s, {{inputs.parameters.b}}" "$SAID" > /tmp/{{inputs.parameters.file}}',
            },
            "outputs": {
                "parameters": [
                    {"name": "said", "valueFrom": {"path": "/tmp/{{inputs.parameters.file}}"}},
                    {"name": "none", "valueFrom": {"path": "/tmp/none", "default": "no {{inputs.parameters.b}}"}},
                ]
            },
        }
    ],
}


def test_tags_are_filled_wherever_they_may_stand(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow() | {"spec": TAGGED}, timeout=5)
    assert ended(engine).outputs == {"said": "hello ml, w1", "none": "no w1"}


def test_an_output_is_kept_as_it_is_but_for_one_line_end(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow(r"mkdir $TMPDIR/out && printf ' \ta\r\nb \r\n\n' > $TMPDIR/out/said"), timeout=5)
    assert ended(engine).outputs == {"said": " \ta\r\nb \r\n"}


@pytest.mark.parametrize(
    ("spec", "phase", "message"),
    [
        pytest.param(
            "echo fine; echo no data left >&2; exit 3", "Failed", "main: exit code 3: no data left", id="code"
        ),
        pytest.param("exit 7", "Failed", "main: exit code 7", id="silent"),
        pytest.param("kill -9 $$", "Failed", "main: killed by SIGKILL", id="killed"),
        pytest.param("mkdir -p $TMPDIR/out/said", "Error", "main: an output parameter cannot be read: ", id="output"),
    ],
)
def test_a_failing_step_says_why(home: Path, spec: str, phase: str, message: str) -> None:
    engine = engine_at(home)
    engine.create(workflow(spec), timeout=5)
    end = ended(engine)
    assert end.phase == phase
    assert end.message.startswith(message)
    assert (end.outputs, end.stopped) == ({}, False)


def inline(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    templates = [
        {"name": "dag", "dag": {"tasks": list(tasks)}},
        {"name": "good", "container": {"command": ["sh", "-c", "true"]}},
        {"name": "bad", "container": {"command": ["sh", "-c", "echo broken; false"]}},
        {"name": "nothing", "container": {"command": ["no-such-program"]}},
    ]
    return workflow() | {"spec": {"entrypoint": "dag", "templates": templates, **more}}


@pytest.mark.parametrize(
    ("second", "phase", "message"),
    [
        pytest.param("bad", "Failed", "two: exit code 1: broken", id="fails"),
        pytest.param("nothing", "Error", "two: could not be started: ", id="no-such-program"),
    ],
)
def test_what_follows_a_failed_task_is_not_started(home: Path, second: str, phase: str, message: str) -> None:
    engine = engine_at(home)
    engine.create(
        inline(
            {"name": "one", "template": "good"},
            {"name": "two", "template": second, "dependencies": ["one"]},
            {"name": "three", "template": "good", "dependencies": ["two"]},
        ),
        timeout=5,
    )
    end = ended(engine)
    assert (end.phase, end.progress) == (phase, "1/3")
    assert end.message.startswith(message)
    assert not (home / "runs/ml/w1/tasks/three").exists()


def test_a_run_is_adopted_by_the_next_daemon(home: Path) -> None:
    gate = home / "gate"
    code = f"while [ ! -e {gate} ]; do sleep 0.02; done; mkdir $TMPDIR/out; echo later > $TMPDIR/out/said"
    engine_at(home).create(workflow(code), timeout=5)
    before = running(engine_at(home))
    again = engine_at(home)
    with pytest.raises(AlreadyExists):
        again.create(workflow(code), timeout=5)
    gate.touch()
    end = ended(again)
    assert (end.phase, end.outputs, end.uid) == ("Succeeded", {"said": "later"}, before.uid)


def test_a_run_survives_kill_9_of_its_daemon(home: Path) -> None:
    daemon = f"""
import json, os, signal, sys
from retrainer.config.settings import LocalEngine as Settings
from retrainer.workflows.local.engine import LocalEngine
settings = Settings(type="local", templates={str(home / "templates")!r}, runs={str(home / "runs")!r})
LocalEngine(settings, "here").create(json.load(sys.stdin), timeout=5)
os.kill(os.getpid(), signal.SIGKILL)
"""
    gate = home / "gate"
    manifest = json.dumps(workflow(f"while [ ! -e {gate} ]; do sleep 0.02; done"))
    dead = subprocess.run([sys.executable, "-c", daemon], input=manifest, text=True, check=False)
    assert dead.returncode == -signal.SIGKILL
    engine = engine_at(home)
    assert running(engine).run == "run-w1"
    gate.touch()
    assert ended(engine).phase == "Succeeded"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="leftovers are only found through /proc")
def test_a_killed_runner_is_an_error_and_its_steps_go_with_it(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow(f"echo $$ > {home}/pid; sleep 600; true"), timeout=5)
    step = pid_in(home / "pid")
    os.kill(json.loads((home / "runs/ml/w1/started.json").read_text())["pid"], signal.SIGKILL)
    end = ended(engine_at(home))
    assert end.phase == "Error"
    assert "died before it recorded the result of the run" in end.message
    until(lambda: not is_alive(step), "the step is gone")


@pytest.mark.parametrize(
    ("strategy", "code"),
    [
        pytest.param(
            "Stop", "trap 'touch {home}/heard; exit 1' TERM; touch {home}/up; while :; do sleep 0.05; done", id="stop"
        ),
        pytest.param("Terminate", "trap '' TERM; touch {home}/up; while :; do sleep 0.05; done", id="terminate"),
    ],
)
def test_a_run_is_stopped(home: Path, strategy: Any, code: str) -> None:
    engine = engine_at(home)
    engine.create(workflow(code.format(home=home)), timeout=5)
    until((home / "up").exists, "the step runs")
    engine.stop("ml", "w1", strategy)
    end = ended(engine)
    assert (end.phase, end.stopped, end.message) == ("Failed", True, f"Stopped with strategy '{strategy}'")
    assert (home / "heard").exists() == (strategy == "Stop")
    engine.stop("ml", "w1", strategy)
    engine.stop("ml", "never-was", strategy)
    assert engine.get("ml", "w1") == end


def test_a_run_without_a_runner_is_stopped_before_it_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.workflows.local.runners.AT_ONCE", 0)
    engine = engine_at(home)
    engine.create(workflow(), timeout=5)
    engine.stop("ml", "w1", "Stop")
    end = ended(engine)
    assert (end.phase, end.stopped, end.started_at) == ("Failed", True, None)


def test_a_deadline_ends_a_run(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow("sleep 600", activeDeadlineSeconds=1), timeout=5)
    end = ended(engine)
    assert (end.phase, end.stopped) == ("Failed", False)
    assert end.message == "took longer than its activeDeadlineSeconds of 1 s"


def test_one_of_many_claims_wins(home: Path) -> None:
    def claim(engine: LocalEngine) -> str:
        try:
            return engine.create(workflow(f"echo x >> {home}/count"), timeout=5).uid
        except AlreadyExists:
            return ""

    with ThreadPoolExecutor(8) as pool:
        uids = list(pool.map(claim, [engine_at(home) for _ in range(16)]))
    end = ended(engine_at(home))
    assert [uid for uid in uids if uid] == [end.uid]
    assert (home / "count").read_text() == "x\n"


def test_many_runners_execute_once(home: Path) -> None:
    engine_at(home).create(workflow(f"echo x >> {home}/count; sleep 0.2"), timeout=5)
    command = [sys.executable, "-m", "retrainer.workflows.local.runner", str(home / "runs/ml/w1")]
    more = [subprocess.Popen(command) for _ in range(4)]
    assert [runner.wait() for runner in more] == [0, 0, 0, 0]
    assert ended(engine_at(home)).phase == "Succeeded"
    assert (home / "count").read_text() == "x\n"


def test_a_claim_without_a_runner_is_taken_up_by_watch(
    home: Path, monkeypatch: pytest.MonkeyPatch, watched: tuple[LocalEngine, list[Observed]]
) -> None:
    engine, seen = watched
    with monkeypatch.context() as crash:
        crash.setattr("retrainer.workflows.local.runners.Runners.start", lambda *_: None)
        engine_at(home).create(workflow(), timeout=5)
    until(lambda: any(one.phase == "Succeeded" for one in seen), "watch starts it")
    assert ended(engine).phase == "Succeeded"


def test_a_runner_that_cannot_start_is_an_error_after_some_attempts(
    monkeypatch: pytest.MonkeyPatch, watched: tuple[LocalEngine, list[Observed]]
) -> None:
    engine, seen = watched
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    engine.create(workflow(), timeout=5)
    until(lambda: any(one.phase == "Error" for one in seen), "it is given up")
    assert ended(engine).message.startswith("its runner could not be started: ")


def test_watch_reports_what_is_there_and_each_change(home: Path, watched: tuple[LocalEngine, list[Observed]]) -> None:
    engine, seen = watched
    gate = home / "gate"
    engine.create(workflow(f"while [ ! -e {gate} ]; do sleep 0.02; done"), timeout=5)
    until(lambda: any(one.phase == "Running" for one in seen), "Running is reported")
    gate.touch()
    until(lambda: any(one.phase == "Succeeded" for one in seen), "Succeeded is reported")
    assert len(seen) == len({(one.phase, one.progress) for one in seen})
    late, stop = list[Observed](), threading.Event()
    thread = threading.Thread(target=engine_at(home).watch, args=(late.append, stop))
    thread.start()
    until(lambda: late, "what has ended is reported at the start")
    stop.set()
    thread.join()
    assert late == [seen[-1]]


def test_watch_reports_a_live_run_whose_folder_was_removed(
    home: Path, watched: tuple[LocalEngine, list[Observed]]
) -> None:
    engine, seen = watched
    pids = home / "pids"
    engine.create(workflow(f"echo $$ > {pids}; exec sleep 600"), timeout=5)
    running(engine)
    until(lambda: any(one.phase == "Running" for one in seen), "Running is reported")
    until(pids.exists, "the step runs")
    (home / "runs/ml/w1").rename(home / "elsewhere")
    until(lambda: seen[-1].gone, "it is reported gone")
    (home / "elsewhere/stop").write_text("Terminate")
    os.kill(json.loads((home / "elsewhere/started.json").read_text())["pid"], signal.SIGTERM)


def test_another_instance_sees_nothing_of_ours(home: Path) -> None:
    engine_at(home).create(workflow(), timeout=5)
    ended(engine_at(home))
    late, stop = list[Observed](), threading.Event()
    other = engine_at(home, "other")
    thread = threading.Thread(target=other.watch, args=(late.append, stop))
    thread.start()
    other.create(workflow(name="w2"), timeout=5)
    until(lambda: any(one.phase == "Succeeded" for one in late), "its own run is reported")
    stop.set()
    thread.join()
    assert {one.name for one in late} == {"w2"}


def test_a_step_sees_its_own_environment_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "secret")
    engine = engine_at(home)
    engine.create(workflow("mkdir $TMPDIR/out; (echo ${HOOK_TOKEN-none} $PWD; env) > $TMPDIR/out/said"), timeout=5)
    said = ended(engine).outputs["said"]
    assert said.splitlines()[0] == f"none {home}"
    assert "secret" not in said


def test_released_runs_are_pruned_but_for_the_newest(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "KEPT_RUNS", 2)
    engine = engine_at(home)
    for name in ("w1", "w2", "w3", "w4"):
        uid = engine.create(workflow(name=name), timeout=5).uid
        ended(engine, name)
        engine.release("ml", name, "another uid")
        if name != "w2":
            engine.release("ml", name, uid)
    engine.release("ml", "never-was", "uid")
    assert sorted(path.name for path in (home / "runs/ml").iterdir()) == ["w2", "w3", "w4"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        pytest.param(workflow(workflowTemplateRef={"name": "no"}), "there is no WorkflowTemplate 'no'", id="template"),
        pytest.param(
            workflow(workflowTemplateRef={"name": "shell", "clusterScope": True}),
            "there is no ClusterWorkflowTemplate 'shell'",
            id="kind",
        ),
        pytest.param(workflow(arguments={}), "spec.arguments.parameters: no value for code", id="missing"),
        pytest.param(
            workflow()
            | {
                "spec": {
                    **TAGGED,
                    "templates": [
                        {**TAGGED["templates"][0], "inputs": {"parameters": [{"name": n} for n in ("a", "b", "file")]}}
                    ],
                }
            },
            "spec.arguments.parameters: no value for a, which template 'main' takes",
            id="missing-for-the-entry",
        ),
        pytest.param(
            workflow(arguments={"parameters": [{"name": "code", "value": "x"}, {"name": "color", "value": "green"}]}),
            "spec.arguments.parameters: color must be one of red, blue",
            id="enum",
        ),
        pytest.param(workflow(name="../../etc"), "'../../etc' is not a valid name", id="name"),
        pytest.param(inline(suspend=True), "spec.suspend: the local engine does not support this", id="unsupported"),
    ],
)
def test_refused_before_anything_is_created(home: Path, manifest: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        engine_at(home).create(manifest, timeout=5)
    assert message in str(refused.value)
    assert not (home / "runs").exists()


def test_the_parameters_of_a_template(home: Path) -> None:
    found = engine_at(home).template("ml", "shell", cluster=False)
    assert found is not None
    assert (found.parameters, found.options) == ({"code": None, "color": "red"}, {"color": ("red", "blue")})
    assert engine_at(home).template("ml", "shell", cluster=True) is None
    assert engine_at(home).template("ml", "chain", cluster=True) is not None


def test_check_names_file_and_field(home: Path) -> None:
    assert engine_at(home).check() == []
    (home / "templates/bad.yaml").write_text("kind: WorkflowTemplate\nmetadata: {name: bad}\nspec: {templates: []}\n")
    (home / "templates/worse.yml").write_text("a: [")
    bad, worse = engine_at(home).check()
    assert bad == f"{home}/templates/bad.yaml: spec.templates: is empty"
    assert worse.startswith(f"{home}/templates/worse.yml: cannot be read: ")


def test_what_a_step_leaves_running_ends_with_it(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow(f"sleep 600 & echo $! > {home}/pid"), timeout=5)
    assert ended(engine).phase == "Succeeded"
    left = pid_in(home / "pid")
    until(lambda: not is_alive(left), "it is gone")


FILES = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: files}
spec:
  entrypoint: main
  nodeSelector: {gpu: a100}
  arguments: {artifacts: [{name: table, raw: {data: "1\\n2\\n3\\n"}}]}
  volumeClaimTemplates: [{metadata: {name: shared}, spec: {accessModes: [ReadWriteOnce]}}]
  templates:
    - name: main
      inputs: {artifacts: [{name: table}]}
      dag:
        tasks:
          - name: fit
            template: fit
            arguments: {artifacts: [{name: table, from: "{{inputs.artifacts.table}}"}]}
          - name: score
            template: score
            dependencies: [fit]
            arguments:
              artifacts:
                - {name: model, from: "{{tasks.fit.outputs.artifacts.model}}", subPath: weights}
                - {name: note, raw: {data: "of {{workflow.name}}"}}
      outputs: {parameters: [{name: score, valueFrom: {parameter: "{{tasks.score.outputs.parameters.score}}"}}]}
    - name: fit
      inputs: {artifacts: [{name: table, path: /data/table.csv}]}
      container:
        command: [sh, -ec]
        args: ["mkdir -p /model; wc -l < /data/table.csv > /model/weights; echo shared > /mnt/shared/x"]
        volumeMounts: [{name: shared, mountPath: /mnt/shared}]
        resources: {requests: {cpu: 8}}
      outputs: {artifacts: [{name: model, path: /model}]}
    - name: score
      inputs: {artifacts: [{name: model, path: /in/weights}, {name: note, path: /in/note}]}
      script:
        command: [sh, -e]
        source: "mkdir -p /out; cat /in/weights /in/note /mnt/shared/x > {{outputs.parameters.score.path}}"
        volumeMounts: [{name: shared, mountPath: /mnt/shared}]
      outputs: {parameters: [{name: score, valueFrom: {path: /out/score}}]}
"""


def test_files_go_from_task_to_task(home: Path) -> None:
    (home / "templates/files.yaml").write_text(FILES)
    engine = engine_at(home)
    assert engine.check() == []
    with capture_logs() as logged:
        engine.create(workflow() | {"spec": {"workflowTemplateRef": {"name": "files"}}}, timeout=5)
    end = ended(engine)
    assert (end.phase, end.message) == ("Succeeded", "")
    assert end.outputs == {"score": "3\nof w1shared"}
    fields = "spec.nodeSelector, spec.templates[1].container.resources"
    assert [line["fields"] for line in logged if line["event"] == "local.fields_without_effect"] == [fields]
    assert f"has no effect on this machine: {fields}\n" in (home / "runs/ml/w1/runner.log").read_text()
