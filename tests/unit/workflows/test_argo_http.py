"""The transport over real HTTP on the loopback: responses, silence and cut connections."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from retrainer.workflows.argo.api_server import ApiRequest, ApiServer
from retrainer.workflows.base import Ambiguous, Later, Refused, WorkflowError
from retrainer.workflows.commit_gate import NotCommitted
from tests.unit.kubeconfig import kubeconfig
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Scripted(BaseHTTPRequestHandler):
    """Answers each request as its path says: /<status>, /silent or /cut."""

    protocol_version = "HTTP/1.1"
    requests: list[tuple[str, str, dict[str, str], bytes]]
    over: threading.Event

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.requests.append((self.command, self.path, dict(self.headers), body))
        what = self.path.split("?")[0].strip("/")
        if what == "silent":
            self.over.wait()
        elif what == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            text = orjson.dumps({"kind": "Status", "message": "its own words"})
            self.send_response(int(what))
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Retry-After", "3")
            self.end_headers()
            self.wfile.write(text)

    do_GET = do_POST = do_PATCH = answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Scripted,), {"requests": [], "over": threading.Event()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        handler.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def api(server: ThreadingHTTPServer, tmp_path: Path) -> ApiServer:
    return ApiServer(kubeconfig(tmp_path, server.server_port), connections=2, timeout=0.3)


@pytest.mark.parametrize(
    ("path", "kind", "code", "words"),
    [
        pytest.param("/422", Refused, "422", "its own words", id="422"),
        pytest.param("/429", Later, "429", "its own words", id="429"),
        pytest.param("/500", Ambiguous, "500", "its own words", id="500"),
        pytest.param("/503", Ambiguous, "503", "its own words", id="503"),
        pytest.param("/504", Ambiguous, "504", "its own words", id="504"),
        pytest.param("/silent", Ambiguous, "timeout", "timed out", id="no answer"),
        pytest.param("/cut", Ambiguous, "cut", "cannot be reached", id="connection cut"),
    ],
)
def test_each_failure_has_its_class_and_is_sent_once(
    server: ThreadingHTTPServer, api: ApiServer, path: str, kind: type[WorkflowError], code: str, words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        api.send(ApiRequest("POST", path, body={"a": 1}))
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert len(server.RequestHandlerClass.requests) == 1  # type: ignore[attr-defined]


def test_a_server_that_is_not_there_created_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = ApiServer(kubeconfig(tmp_path, taken.getsockname()[1]), connections=1, timeout=1)
        with pytest.raises(Later) as caught:
            api.send(ApiRequest("POST", "/200", body={}))
    assert caught.value.code == "connect"


def test_a_line_that_is_cut_while_tls_is_set_up_says_nothing_about_certificates(tmp_path: Path) -> None:
    def hang_up() -> None:
        line, _ = listening.accept()
        line.recv(1000)
        line.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=hang_up)
        thread.start()
        api = ApiServer(kubeconfig(tmp_path, listening.getsockname()[1], scheme="https"), connections=1, timeout=60)
        with pytest.raises(Ambiguous) as caught:
            api.send(ApiRequest("POST", "/200", body={}))
        thread.join()
    assert caught.value.code == "cut"


def test_a_request_carries_the_token_the_body_and_the_fields(server: ThreadingHTTPServer, api: ApiServer) -> None:
    api.send(ApiRequest("POST", "/200", body={"a": "ü"}, fields={"fieldValidation": "Strict"}))
    ((method, path, headers, body),) = server.RequestHandlerClass.requests  # type: ignore[attr-defined]
    assert (method, path) == ("POST", "/200?fieldValidation=Strict")
    assert headers["Authorization"] == "Bearer t1"
    assert orjson.loads(body) == {"a": "ü"}


def test_a_rotated_token_is_read_again_after_a_401(server: ThreadingHTTPServer, api: ApiServer, tmp_path: Path) -> None:
    kubeconfig(tmp_path, server.server_port, token="t2")
    with pytest.raises(Later):
        api.send(ApiRequest("GET", "/401"))
    api.send(ApiRequest("GET", "/200"))
    last = server.RequestHandlerClass.requests[-1]  # type: ignore[attr-defined]
    assert last[2]["Authorization"] == "Bearer t2"


def test_the_last_byte_is_sent_behind_the_gate(api: ApiServer, server: ThreadingHTTPServer) -> None:
    handler: Any = server.RequestHandlerClass
    seen_before: list[int] = []
    api.send(ApiRequest("POST", "/200", body={"a": 1}, gate=lambda: seen_before.append(len(handler.requests))))
    assert seen_before == [0]
    ((_, _, headers, body),) = handler.requests
    assert (body, headers["Content-Length"]) == (b'{"a":1}', "7")


def test_behind_a_gate_that_stays_closed_the_server_gets_no_whole_body(
    api: ApiServer, server: ThreadingHTTPServer
) -> None:
    def closed() -> None:
        raise NotCommitted

    with pytest.raises(NotCommitted):
        api.send(ApiRequest("POST", "/200", body={"a": 1}, gate=closed))
    api.send(ApiRequest("POST", "/200", body={"b": 2}))
    handler: Any = server.RequestHandlerClass
    until(lambda: len(handler.requests) == 2, "the first connection was closed")
    assert sorted(body for _, _, _, body in handler.requests) == [b'{"a":1', b'{"b":2}']
