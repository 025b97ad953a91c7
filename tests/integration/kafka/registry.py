"""A small schema registry: the part of Confluent's REST API that readers of records use."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Registry:
    """Serves ``schemas`` by id, and ``subjects`` by name and version. It keeps its port when it is restarted."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[tuple[str, int], dict[str, Any]] = {}
        self.asked: list[str] = []
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and body in the format of the registry."""
        self.asked.append(path)
        match path.strip("/").split("/"):
            case ["schemas", "ids", number]:
                found, missing = self.schemas.get(int(number)), 40403
            case ["subjects", name, "versions", version]:
                found, missing = self.subjects.get((name, int(version))), 40401
            case _:
                found, missing = None, 404
        return (200, found) if found else (404, {"error_code": missing, "message": "not found"})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = registry.answer(urlsplit(self.path).path)
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler
