"""A watch is ended from another thread, with a simulated API server."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from retrainer.workflows.argo.api_server import ApiRequest, ApiServer
from retrainer.workflows.argo.stream import Stream
from tests.unit.kubeconfig import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Server(http.server.ThreadingHTTPServer):
    """Answers a watch once `answer` is set, without events until `over` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked, self.answer, self.over = threading.Event(), threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.set()
        self.server.answer.wait()
        self.send_response(200)
        self.end_headers()
        self.server.over.wait()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as played:
        thread = threading.Thread(target=played.serve_forever)
        thread.start()
        yield played
        played.answer.set()
        played.over.set()
        played.shutdown()
        thread.join()


def test_a_watch_that_is_ended_while_it_is_being_opened_ends(server: Server, tmp_path: Path) -> None:
    """Otherwise a stop would wait a minute, until the watch is over."""
    stream = Stream(ApiServer(kubeconfig(tmp_path, server.server_port), connections=1, timeout=30))
    thread = threading.Thread(
        target=lambda: list(stream.read(ApiRequest("GET", "/x", fields={"watch": "1"}), read_timeout=300))
    )
    thread.start()
    assert server.asked.wait(30)
    stream.close()
    server.answer.set()
    thread.join(30)
    assert not thread.is_alive()
