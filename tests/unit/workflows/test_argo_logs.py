"""The output of steps on Argo: logs of pods, from a simulated API server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from retrainer.config.settings import ArgoEngine as Settings
from retrainer.workflows.argo.engine import ArgoEngine
from retrainer.workflows.argo.pod_logs import SPARE
from retrainer.workflows.base import OUTPUT_LIMIT, Ambiguous, Later, NoOutput, OutputQuery, StepOutput
from tests.unit.kubeconfig import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PODS = "/api/v1/namespaces/ml/pods"
WAITS = 'container "main" in pod "churn-1-train-2" is waiting to start: ContainerCreating'
FORBIDS = 'pods is forbidden: User "retrainer" cannot list resource "pods" in API group "" in the namespace "ml"'
FORBIDS_LOGS = 'pods "churn-1-prepare-1" is forbidden: User "retrainer" cannot get resource "pods/log" in the namespace'


class ApiHandler(BaseHTTPRequestHandler):
    """Answers by path from `answers`: the status and the body."""

    answers: dict[str, tuple[int, bytes]]
    requests: list[tuple[str, dict[str, list[str]]]]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.requests.append((url.path, parse_qs(url.query)))
        status, body = self.answers.get(url.path, refusal(404, "not found"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None: ...


def refusal(status: int, message: str) -> tuple[int, bytes]:
    return status, orjson.dumps({"kind": "Status", "message": message, "details": {"name": "x"}})


def pods(**nodes: str) -> tuple[int, bytes]:
    """A list of pods, given as their names (with `_` for `-`) and nodes; the last one is the oldest."""
    items = [
        {
            "metadata": {
                "name": name.replace("_", "-"),
                "creationTimestamp": f"2026-01-01T00:00:{59 - number}Z",
                "annotations": {"workflows.argoproj.io/node-name": node},
            }
        }
        for number, (name, node) in enumerate(nodes.items())
    ]
    return 200, orjson.dumps({"metadata": {}, "items": items})


TWO = pods(churn_1_train_2="churn-1.train(0)", churn_1_prepare_1="churn-1[0].prepare")


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (ApiHandler,), {"answers": {}, "requests": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def answers(server: ThreadingHTTPServer) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = server.RequestHandlerClass.answers  # type: ignore[attr-defined]
    return found


@pytest.fixture
def engine(server: ThreadingHTTPServer, tmp_path: Path) -> ArgoEngine:
    return ArgoEngine(
        Settings(type="argo", namespaces=["ml"], kubeconfig=kubeconfig(tmp_path, server.server_port)), "x"
    )


def output(engine: ArgoEngine, tail: int = 2, step: str = "") -> list[StepOutput]:
    return list(engine.outputs("ml", "churn-1", OutputQuery(tail, step)))


def test_the_logs_of_a_workflows_pods_are_read_the_oldest_first(
    engine: ArgoEngine, answers: dict[str, Any], server: ThreadingHTTPServer
) -> None:
    answers[PODS] = TWO
    answers[f"{PODS}/churn-1-prepare-1/log"] = (200, b"1\n2\n3\n")
    answers[f"{PODS}/churn-1-train-2/log"] = refusal(400, WAITS)
    assert output(engine) == [
        StepOutput("prepare", b"2\n3", left_out=True),
        StepOutput("train(0)", b"", note=WAITS),
    ]
    listed, read, _ = server.RequestHandlerClass.requests  # type: ignore[attr-defined]
    assert listed[1]["labelSelector"] == ["workflows.argoproj.io/workflow=churn-1"]
    assert read[1] == {"container": ["main"], "tailLines": [str(2 + SPARE)], "limitBytes": [str(OUTPUT_LIMIT)]}


@pytest.mark.parametrize(
    ("node", "step"),
    [
        pytest.param("churn-1.train", "train", id="a task"),
        pytest.param("churn-1[1].train(2)", "train(2)", id="an attempt of a step"),
        pytest.param("churn-1.all[0].train", "all.train", id="a step of a part"),
        pytest.param("churn-1.train(0:a[1])", "train(0:a[1])", id="an item"),
        pytest.param("churn-1", "churn-1", id="the only step"),
        pytest.param("churn-1(1)", "churn-1(1)", id="an attempt of the only step"),
    ],
)
def test_a_step_has_its_name_in_the_template(engine: ArgoEngine, answers: dict[str, Any], node: str, step: str) -> None:
    answers[PODS] = pods(churn_1_pod=node)
    answers[f"{PODS}/churn-1-pod/log"] = (200, b"x\n")
    assert output(engine) == [StepOutput(step, b"x")]


def test_one_step_is_read_with_its_attempts(engine: ArgoEngine, answers: dict[str, Any]) -> None:
    answers[PODS] = TWO
    answers[f"{PODS}/churn-1-train-2/log"] = (200, b"x\n")
    assert output(engine, step="train") == [StepOutput("train(0)", b"x")]
    with pytest.raises(NoOutput, match=r"no step 'tra'; it has prepare, train\(0\)"):
        output(engine, step="tra")


ARGO = b'time=2026-01-01T00:00:00.327Z level=INFO msg="sub-process exited" argo=true error=<nil>\n'
ARGO_IN_JSON = b'{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"sub-process exited","argo":true,"error":null}\n'


@pytest.mark.parametrize(
    ("text", "kept", "left_out"),
    [
        pytest.param(b"1\n2\n" + ARGO, b"1\n2", False, id="its last line"),
        pytest.param(b"1\n2\n" + ARGO_IN_JSON, b"1\n2", False, id="in JSON"),
        pytest.param(b"1\n2\n3\n" + ARGO, b"2\n3", True, id="and more than was requested"),
        pytest.param(ARGO, b"", False, id="alone"),
        pytest.param(ARGO * (SPARE + 2), b"", True, id="nothing else in what was read"),
        pytest.param(b"argo=true\ntime=1 argo=true\n", b"argo=true\ntime=1 argo=true", False, id="not its form"),
    ],
)
def test_lines_of_argos_executor_are_not_output_of_the_step(
    engine: ArgoEngine, answers: dict[str, Any], text: bytes, kept: bytes, left_out: bool
) -> None:
    answers[PODS] = pods(churn_1_pod="churn-1.train")
    answers[f"{PODS}/churn-1-pod/log"] = (200, text)
    assert output(engine) == [StepOutput("train", kept, left_out)]


def test_a_log_that_the_server_cut_ends_with_a_whole_line(engine: ArgoEngine, answers: dict[str, Any]) -> None:
    """A secret that is cut would not be recognised, and shown in part."""
    answers[PODS] = pods(churn_1_pod="churn-1.train")
    answers[f"{PODS}/churn-1-pod/log"] = (200, b"whole\n" + b"x" * (OUTPUT_LIMIT - 6))
    (step,) = output(engine)
    assert (step.text, step.note) == (b"whole", "what follows after 4 MiB is left out: read fewer lines")


@pytest.mark.parametrize(
    ("path", "answer", "kind", "words"),
    [
        pytest.param(PODS, pods(), NoOutput, "`podGC` and `ttlStrategy` remove pods", id="pods removed"),
        pytest.param(PODS, refusal(403, FORBIDS), Later, "grant list on `pods` and get on `pods/log`", id="no list"),
        pytest.param(PODS, refusal(500, "etcd"), Ambiguous, "etcd", id="server broken"),
        pytest.param(
            f"{PODS}/churn-1-prepare-1/log",
            refusal(403, FORBIDS_LOGS),
            Later,
            "`pods/log` in namespace ml",
            id="no log",
        ),
    ],
)
def test_why_there_is_nothing_is_said_before_the_first_step(
    engine: ArgoEngine, answers: dict[str, Any], path: str, answer: Any, kind: type[Exception], words: str
) -> None:
    answers |= {PODS: TWO, path: answer}
    with pytest.raises(kind, match=words):
        engine.outputs("ml", "churn-1", OutputQuery(2))


def test_a_pod_that_was_removed_meanwhile_hides_no_other(engine: ArgoEngine, answers: dict[str, Any]) -> None:
    answers[PODS] = TWO
    answers[f"{PODS}/churn-1-train-2/log"] = (200, b"x\n")
    assert output(engine) == [StepOutput("prepare", b"", note="not found"), StepOutput("train(0)", b"x")]
