"""The Argo engine against a real API server and a real controller that runs real pods."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from ulid import ULID

from retrainer.runs.naming import workflow_name
from retrainer.runs.run import Run, RunPhase
from retrainer.workflows.base import AlreadyExists, Ambiguous, Later, Refused
from retrainer.workflows.manifest import manifest

from .conftest import CLUSTER, an_engine, audited, kubectl, until, workflow_as_json
from .proxy import API_PORT, Proxy, write_kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.workflows.argo.engine import ArgoEngine
    from retrainer.workflows.base import Observed

TEMPLATES = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: nap}
spec:
  entrypoint: main
  arguments:
    parameters: [{name: seconds, value: "1"}, {name: mood, value: calm, enum: [calm, wild]}, {name: model, value: ""}]
  templates: [{name: main, suspend: {duration: "{{workflow.parameters.seconds}}"}}]
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: code}]}
  templates:
    - name: main
      inputs: {parameters: [{name: code}]}
      outputs: {parameters: [{name: auc, valueFrom: {path: /tmp/auc}}]}
      container:
        image: localhost/python:3.11
        imagePullPolicy: Never
        command: [python3, -c, "{{inputs.parameters.code}}"]
"""


@pytest.fixture
def engine(namespace: str) -> ArgoEngine:
    kubectl("-n", namespace, "apply", "-f", "-", given=TEMPLATES)
    return an_engine(namespace)


def a_run(namespace: str, template: str = "nap", submit: dict[str, Any] | None = None, **parameters: str) -> Run:
    run = str(ULID())
    return Run(
        id=run,
        rule="churn",
        key="acme",
        phase=RunPhase.SUBMITTING,
        workflow=workflow_name("churn", run),
        namespace=namespace,
        submit=submit or {"workflow_template": template},
        parameters=parameters,
        labels={"team": "growth"},
        trigger="nightly",
        reason="schedule",
        created_at=0.0,
    )


def create(engine: ArgoEngine, run: Run, timeout: float = 10.0) -> Observed:
    return engine.create(manifest(run, instance="test", instance_id=None), timeout=timeout)


def ended(engine: ArgoEngine, run: Run) -> Observed:
    def look() -> Observed | None:
        found = engine.get(run.namespace, run.workflow)
        return found if found is not None and found.finished_at else None

    found: Observed = until(look)
    return found


class TestCreate:
    def test_a_workflow_is_created_and_read_back(self, engine: ArgoEngine, namespace: str) -> None:
        run = a_run(namespace)
        made = create(engine, run)
        found = engine.get(namespace, run.workflow)
        assert found is not None
        assert (made.uid, made.run) == (found.uid, run.id)
        assert audited(namespace) == [run.workflow]

    def test_creating_it_again_is_told_from_success(self, engine: ArgoEngine, namespace: str) -> None:
        run = a_run(namespace)
        create(engine, run)
        with pytest.raises(AlreadyExists, match="already exists"):
            create(engine, run)
        assert audited(namespace) == [run.workflow]

    def test_one_that_is_not_there_is_none(self, engine: ArgoEngine, namespace: str) -> None:
        assert engine.get(namespace, "nobody") is None

    def test_a_field_that_argo_does_not_know_is_refused(self, engine: ArgoEngine, namespace: str) -> None:
        inline = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}], "enrtypoint": "x"}
        with pytest.raises(Refused, match=r'unknown field "spec\.enrtypoint"'):
            create(engine, a_run(namespace, submit={"workflow": inline}))

    def test_a_missing_namespace_is_waited_for(self, engine: ArgoEngine) -> None:
        with pytest.raises(Later, match='namespaces "nowhere" not found') as caught:
            create(engine, a_run("nowhere"))
        assert caught.value.code == "404"

    def test_a_quota_is_waited_for_in_the_servers_words(self, engine: ArgoEngine, namespace: str) -> None:
        kubectl("-n", namespace, "create", "quota", "few", "--hard=count/workflows.argoproj.io=0")

        def over_quota() -> bool:
            try:
                create(engine, a_run(namespace))
            except Later as error:
                return error.code == "quota" and "exceeded quota: few" in str(error)
            return False

        until(over_quota)  # the quota applies once its controller has counted

    def test_an_inline_workflow_runs(self, engine: ArgoEngine, namespace: str) -> None:
        spec = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "1s"}}]}
        run = a_run(namespace, submit={"workflow": {"spec": spec}, "timeout": 60.0})
        create(engine, run)
        assert ended(engine, run).phase == "Succeeded"

    def test_a_cluster_template_runs(self, engine: ArgoEngine, namespace: str) -> None:
        nap, _, _ = TEMPLATES.partition("---")
        kubectl("apply", "-f", "-", given=nap.replace("kind: W", "kind: ClusterW").replace("nap", namespace))
        try:
            run = a_run(namespace, submit={"cluster_workflow_template": namespace})
            create(engine, run)
            assert ended(engine, run).phase == "Succeeded"
            assert engine.template("", namespace, cluster=True) is not None
        finally:
            kubectl("delete", "clusterworkflowtemplate", namespace)

    def test_a_controller_with_an_instance_id_is_another_one(self, engine: ArgoEngine, namespace: str) -> None:
        elsewhere, here = a_run(namespace), a_run(namespace)
        engine.create(manifest(elsewhere, instance="test", instance_id="blue"), timeout=10)
        create(engine, here)
        ended(engine, here)
        untouched = engine.get(namespace, elsewhere.workflow)
        assert untouched is not None
        assert untouched.phase == ""

    def test_a_thousand(self, engine: ArgoEngine, namespace: str, record_property: Any) -> None:
        runs = [a_run(namespace) for _ in range(1000)]
        # An instance id of no controller: the controller's work would disturb the tests that follow.
        workflows = [manifest(run, instance="test", instance_id="nobody") for run in runs]
        begin = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda workflow: engine.create(workflow, timeout=10), workflows))
        rate = len(runs) / (time.monotonic() - begin)
        record_property("workflows_per_second", round(rate))
        print(f"\n{rate:.0f} workflows a second over four connections")
        assert Counter(audited(namespace)) == Counter(run.workflow for run in runs)


class TestEnds:
    def test_outputs_of_a_real_pod(self, engine: ArgoEngine, namespace: str) -> None:
        run = a_run(namespace, "train", code="open('/tmp/auc', 'w').write('0.91')")
        create(engine, run)
        found = ended(engine, run)
        assert (found.phase, found.outputs) == ("Succeeded", {"auc": "0.91"})
        assert found.resources.keys() >= {"cpu", "memory"}
        assert found.progress == "1/1"

    def test_a_failing_pod_says_why(self, engine: ArgoEngine, namespace: str) -> None:
        run = a_run(namespace, "train", code="raise SystemExit(3)")
        create(engine, run)
        found = ended(engine, run)
        assert found.phase == "Failed"
        assert "exit code 3" in found.message
        assert not found.stopped

    @pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
    def test_stopping(self, engine: ArgoEngine, namespace: str, strategy: Any) -> None:
        run = a_run(namespace, seconds="600")
        create(engine, run)
        until(lambda: (found := engine.get(namespace, run.workflow)) and found.phase == "Running")
        engine.stop(namespace, run.workflow, strategy)
        found = ended(engine, run)
        assert (found.phase, found.stopped) == ("Failed", True)
        assert found.message == f"Stopped with strategy '{strategy}'"

    def test_stopping_what_has_ended_or_is_gone_is_no_error(self, engine: ArgoEngine, namespace: str) -> None:
        run = a_run(namespace)
        create(engine, run)
        ended(engine, run)
        engine.stop(namespace, run.workflow, "Stop")
        engine.stop(namespace, "nobody", "Stop")
        assert "shutdown" not in workflow_as_json(namespace, run.workflow)["spec"]


class TestFinalizer:
    def test_it_keeps_a_workflow_over_its_ttl_until_it_is_released(self, engine: ArgoEngine, namespace: str) -> None:
        spec = {
            "entrypoint": "main",
            "ttlStrategy": {"secondsAfterCompletion": 0},
            "templates": [{"name": "main", "suspend": {"duration": "1s"}}],
        }
        run = a_run(namespace, submit={"workflow": spec})
        made = create(engine, run)
        until(lambda: (found := engine.get(namespace, run.workflow)) and found.deleting)
        kept = engine.get(namespace, run.workflow)
        assert kept is not None
        assert kept.phase == "Succeeded"
        engine.release(namespace, run.workflow, made.uid)
        until(lambda: engine.get(namespace, run.workflow) is None)

    @pytest.mark.parametrize(
        "finalizers",
        [
            pytest.param(["retrainer.dev/outcome"], id="alone"),
            pytest.param(["retrainer.dev/outcome", "example.com/a"], id="first"),
            pytest.param(["example.com/a", "retrainer.dev/outcome", "example.com/b"], id="between"),
            pytest.param(["example.com/a"], id="taken off already"),
        ],
    )
    def test_those_of_others_are_spared(self, engine: ArgoEngine, namespace: str, finalizers: list[str]) -> None:
        run = a_run(namespace, seconds="600")
        workflow = manifest(run, instance="test", instance_id="nobody")
        workflow["metadata"]["finalizers"] = finalizers
        made = engine.create(workflow, timeout=10)
        engine.release(namespace, run.workflow, made.uid)
        left = workflow_as_json(namespace, run.workflow)["metadata"].get("finalizers", [])
        assert left == [each for each in finalizers if each.startswith("example.com")]

    def test_another_workflow_of_that_name_keeps_its_own(self, engine: ArgoEngine, namespace: str) -> None:
        run = a_run(namespace, seconds="600")
        create(engine, run)
        engine.release(namespace, run.workflow, "another-uid")
        assert workflow_as_json(namespace, run.workflow)["metadata"]["finalizers"] == ["retrainer.dev/outcome"]

    def test_releasing_what_is_gone_is_no_error(self, engine: ArgoEngine, namespace: str) -> None:
        engine.release(namespace, "nobody", "uid")


class TestTemplate:
    def test_parameters_and_options_are_read(self, engine: ArgoEngine, namespace: str) -> None:
        template = engine.template(namespace, "nap", cluster=False)
        assert template is not None
        assert template.parameters == {"seconds": "1", "mood": "calm", "model": ""}
        assert template.options == {"mood": ("calm", "wild")}

    def test_a_missing_one_is_none(self, engine: ArgoEngine, namespace: str) -> None:
        assert engine.template(namespace, "nobody", cluster=False) is None
        assert engine.template("", "nobody", cluster=True) is None


ROLE = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: retrainer}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: retrainer}
rules:
  - {apiGroups: [argoproj.io], resources: [workflows], verbs: [%s]}
  - {apiGroups: [argoproj.io], resources: [workflowtemplates], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: retrainer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: retrainer}
subjects: [{kind: ServiceAccount, name: retrainer}]
"""


def as_service_account(namespace: str, folder: Path, verbs: str) -> ArgoEngine:
    kubectl("-n", namespace, "apply", "-f", "-", given=ROLE % verbs)
    token = kubectl("-n", namespace, "create", "token", "retrainer").strip()
    ca = str(CLUSTER / "run" / "api.crt")
    cluster = {"server": f"https://127.0.0.1:{API_PORT}", "certificate-authority": ca}
    return an_engine(namespace, write_kubeconfig(folder, cluster, token))


class TestCheck:
    def test_the_documented_rights_are_enough(self, namespace: str, tmp_path: Path) -> None:
        kubectl("-n", namespace, "apply", "-f", "-", given=TEMPLATES)
        engine = as_service_account(namespace, tmp_path, "create, get, list, watch, patch")
        until(lambda: engine.check() == [])
        run = a_run(namespace, seconds="600")
        made = create(engine, run)
        engine.stop(namespace, run.workflow, "Terminate")
        engine.release(namespace, run.workflow, made.uid)

    def test_missing_verbs_are_named(self, namespace: str, tmp_path: Path) -> None:
        engine = as_service_account(namespace, tmp_path, "get, list")
        (problem,) = until(lambda: [each for each in engine.check() if "workflowtemplates" not in each])
        assert problem.startswith(f"namespace {namespace}: may not create, watch, patch workflows.argoproj.io")

    def test_without_the_right_to_create_a_run_waits_for_it(self, namespace: str, tmp_path: Path) -> None:
        engine = as_service_account(namespace, tmp_path, "get")
        with pytest.raises(Later, match='cannot create resource "workflows"'):
            create(engine, a_run(namespace))

    def test_a_missing_namespace_is_named(self) -> None:
        assert an_engine("nowhere").check() == ['namespace nowhere: namespaces "nowhere" not found']

    def test_a_server_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        (problem,) = an_engine("ml", write_kubeconfig(tmp_path, {"server": "http://127.0.0.1:1"}, "t")).check()
        assert problem.startswith("http://127.0.0.1:1: the API server cannot be reached")


class TestAmbiguous:
    def test_an_answer_that_is_lost_leaves_the_workflow_to_be_found(
        self, engine: ArgoEngine, namespace: str, tmp_path: Path
    ) -> None:
        with Proxy() as proxy:
            through = an_engine(namespace, proxy.kubeconfig(tmp_path))
            assert through.get(namespace, "nobody") is None  # the connection works
            run = a_run(namespace)
            proxy.swallow.set()
            with pytest.raises(Ambiguous):
                create(through, run, timeout=1.0)
            found = engine.get(namespace, run.workflow)
            assert found is not None
            assert found.run == run.id
            assert audited(namespace) == [run.workflow]

    def test_a_connection_that_was_cut_while_idle_is_made_anew(
        self, engine: ArgoEngine, namespace: str, tmp_path: Path
    ) -> None:
        with Proxy() as proxy:
            through = an_engine(namespace, proxy.kubeconfig(tmp_path))
            assert through.get(namespace, "nobody") is None
            proxy.cut()
            create(through, a_run(namespace))
