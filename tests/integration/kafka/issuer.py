"""A token endpoint with the client credentials grant of RFC 6749, which issues unsigned tokens."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

CLIENT, SECRET = "retrainer", "oauth-secret-canary"


class Issuer:
    """``forms`` are the received requests. Tokens are valid for `life` seconds."""

    def __init__(self, life: int = 300) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.life = life
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/token"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def token(self) -> str:
        now = time.time()
        claims = {"sub": CLIENT, "iat": now, "exp": now + self.life, "scope": "kafka"}
        return ".".join([_encoded({"alg": "none"}), _encoded(claims), ""])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self
        right = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                issuer.forms.append(parse_qs(body))
                known = self.headers["Authorization"] == right
                self.send_response(200 if known else 401)
                self.end_headers()
                answer = {"access_token": issuer.token(), "expires_in": issuer.life} if known else {"error": "no"}
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _encoded(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
