"""A fake Prometheus query API on a real socket, with answers set by the test."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Respond = Callable[["Handler"], None]


def vector(*samples: tuple[dict[str, str], float], **more: object) -> tuple[int, Any]:
    result = [{"metric": labels, "value": [0, str(value)]} for labels, value in samples]
    return 200, {"status": "success", "data": {"resultType": "vector", "result": result}, **more}


class FakePrometheus(ThreadingHTTPServer):
    """``answers`` by expression: status and body, or a function that handles the connection itself.

    ``asked`` has path, form and headers of each request. `hang` does not answer until the server is released.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers: dict[str, tuple[int, Any] | Respond] = {}
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self._released = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/prefix/"

    @property
    def exprs(self) -> list[str]:
        return [form["query"] for _, form, _ in list(self.asked)]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def hang(self, handler: Handler) -> None:
        self._released.wait()

    def drip(self, handler: Handler) -> None:
        """Send one byte at a time, without end."""
        handler.head(200, 1 << 20)
        while not self._released.wait(0.05):
            handler.wfile.write(b" ")


class Handler(BaseHTTPRequestHandler):
    server: FakePrometheus

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(raw).items()}
        self.server.asked.append((self.path, form, dict(self.headers)))
        answer = self.server.answers.get(form["query"], vector())
        with contextlib.suppress(OSError):  # the client gave up
            answer(self) if callable(answer) else self.say(*answer)

    def say(self, status: int, body: object) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(status, len(raw))
        self.wfile.write(raw)

    def head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def cut(handler: Handler) -> None:
    """Close the connection in the middle of the body."""
    handler.head(200, 100)
    handler.wfile.write(b'{"status":')


def huge(handler: Handler) -> None:
    handler.head(200, 1 << 30)
    for _ in range(64):
        handler.wfile.write(b" " * (1 << 16))
