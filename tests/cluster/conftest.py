"""A separate namespace for each test, on the cluster that `cluster.sh up` started."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from retrainer.config.settings import ArgoEngine as Settings
from retrainer.workflows.argo.api_server import ApiRequest, ApiServer
from retrainer.workflows.argo.engine import ArgoEngine
from retrainer.workflows.argo.watch import PARTIAL_LIST
from retrainer.workflows.base import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLUSTER = Path(os.environ.get("CLUSTER_DIR", Path.home() / ".cache" / "retrainer-cluster"))
KUBECONFIG = CLUSTER / "run" / "kubeconfig"
SCRIPT = Path(__file__).parent / "cluster.sh"

EXECUTOR = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: executor}
rules: [{apiGroups: [argoproj.io], resources: [workflowtaskresults], verbs: [create, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: executor}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: executor}
subjects: [{kind: ServiceAccount, name: default}]
"""


def kubectl(*arguments: str, given: str | None = None) -> str:
    """Run kubectl as the administrator; raise with its error message if it fails."""
    command = [str(CLUSTER / "bin" / "kubectl"), f"--kubeconfig={KUBECONFIG}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def an_engine(namespace: str, kubeconfig: str = str(KUBECONFIG), instance: str = "test") -> ArgoEngine:
    return ArgoEngine(Settings(type="argo", namespaces=[namespace], kubeconfig=kubeconfig), instance)


def server(action: str, name: str) -> None:
    """Stop or start one of the cluster's servers (etcd, apiserver, workflow-controller …)."""
    # Not captured: the started server would keep the pipe open.
    subprocess.run([SCRIPT, action, name], check=True, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def pid(name: str) -> int:
    return int((CLUSTER / "run" / f"{name}.pid").read_text())


def until(condition: Callable[[], Any], seconds: float = 60.0, every: float = 0.05) -> Any:
    """Poll until ``condition`` is true, and return its value. Use a larger ``every`` for expensive conditions."""
    pause = threading.Event()
    for _ in range(int(seconds / every)):
        if answer := condition():
            return answer
        pause.wait(every)
    raise AssertionError(f"not within {seconds} s")


def workflow_as_json(namespace: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(kubectl("-n", namespace, "get", "workflow", name, "-o", "json"))
    return found


def audited(namespace: str, verb: str = "create") -> list[str]:
    """Names of the Workflows created in a namespace by the API server's audit log, which is independent of our code."""
    lines = (CLUSTER / "run" / "audit.log").read_bytes().splitlines()
    events = (orjson.loads(line) for line in lines if namespace.encode() in line)
    return [
        event["objectRef"]["name"]
        for event in events
        if event["verb"] == verb
        and event["objectRef"].get("namespace") == namespace
        and event["responseStatus"]["code"] in (200, 201)
        and "dryRun" not in event["requestURI"]
    ]


def release_all(namespace: str) -> None:
    """Remove all finalizers, which would keep the namespace from being deleted."""
    api = ApiServer(str(KUBECONFIG), connections=8, timeout=30)
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"
    names = [item["metadata"]["name"] for item in api.send(ApiRequest("GET", path, accept=PARTIAL_LIST))["items"] or ()]

    def release(name: str) -> None:
        with contextlib.suppress(WorkflowError):
            patch = {"metadata": {"finalizers": None}}
            api.send(ApiRequest("PATCH", f"{path}/{name}", patch, content="application/merge-patch+json"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(release, names))


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    if not KUBECONFIG.exists():
        pytest.exit("no cluster is up: run tests/cluster/run, or tests/cluster/cluster.sh build and up", returncode=2)


@pytest.fixture
def namespace() -> Iterator[str]:
    """Create a namespace in which pods of Workflows may run."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    kubectl("create", "namespace", name)
    kubectl("-n", name, "apply", "-f", "-", given=EXECUTOR)
    yield name
    release_all(name)
    kubectl("delete", "namespace", name, "--wait=false")


@contextlib.contextmanager
def local_volume(name: str, folder: Path) -> Iterator[str]:
    """Create a volume on the node with its own storage class. It belongs to root, as new volumes do."""
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }
    kubectl("apply", "-f", "-", given=orjson.dumps(volume).decode())
    yield name
    kubectl("delete", "pv", name, "--wait=false")


@pytest.fixture
def storage(namespace: str, tmp_path: Path) -> Iterator[str]:
    """The storage class of a volume."""
    with local_volume(namespace, tmp_path) as name:
        yield name


@pytest.fixture(scope="module")
def team() -> Iterator[str]:
    """Create a team's namespace in which Workflows may run, with a WorkflowTemplate."""
    yield from _settled("team")


@pytest.fixture(scope="module")
def platform() -> Iterator[str]:
    """Create the platform's namespace, which admits restricted pods only."""
    yield from _settled("platform", "pod-security.kubernetes.io/enforce=restricted")


def _settled(what: str, *labels: str) -> Iterator[str]:
    name = f"{what}-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, f"test={what}", *labels)
    kubectl("-n", name, "apply", "-f", "-", given=EXECUTOR)
    kubectl("-n", name, "apply", "-f", str(Path(__file__).parent / "pipelines" / "train.yaml"))
    yield name
    release_all(name)
    kubectl("delete", "namespace", name, "--wait=false")
