"""The server itself: ports, limits, slow senders, stopping."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from retrainer.web import guard
from retrainer.web import server as server_module
from retrainer.web.server import MAX_HEAD, WebServer
from tests.unit.web.conftest import serving

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)


def connected(server: WebServer) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", server.port), timeout=10))


def listening(server: WebServer) -> bool:
    try:
        with connected(server):
            return True
    except OSError:
        return False


def test_a_free_port_is_known_once_it_listens() -> None:
    with serving(echo) as server:
        assert server.port > 0
        assert httpx.post(server.url, content=b"hello", trust_env=False).text == "hello"


def test_an_address_in_use_is_named() -> None:
    with (
        serving(echo) as server,
        pytest.raises(OSError, match=rf"cannot listen on 127.0.0.1:{server.port} .*http.port"),
    ):
        WebServer(echo, "127.0.0.1", server.port).start()


def test_a_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(OSError, match=r"cannot listen on no-such-host\.invalid:80"):
        WebServer(echo, "no-such-host.invalid", 80).start()


def test_after_stop_nothing_listens() -> None:
    with serving(echo) as server:
        httpx.get(server.url, trust_env=False)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)
    server.stop(1.0)  # again does no harm


def test_stop_waits_for_requests_under_way() -> None:
    entered, leave = threading.Event(), threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.to_thread(leave.wait, 10)
        await PlainTextResponse("done")(scope, receive, send)

    answers: list[str] = []
    with serving(slow) as server:
        asking = threading.Thread(target=lambda: answers.append(httpx.get(server.url, trust_env=False).text))
        asking.start()
        entered.wait(10)
        stopping = threading.Thread(target=lambda: server.stop(5.0))
        stopping.start()
        while listening(server):
            pass
        leave.set()
        stopping.join()
        asking.join()
    assert answers == ["done"]


def test_beyond_the_limit_connections_are_answered_503() -> None:
    with serving(echo, max_connections=3) as server, connected(server), connected(server), connected(server):
        assert httpx.get(server.url, trust_env=False).status_code == 503


def test_a_request_head_has_a_limit() -> None:
    with serving(echo) as server, connected(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (MAX_HEAD + 1))
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


SLOW = [
    pytest.param([], id="silent"),
    pytest.param([b"GET / HTTP/1.1\r\nHost: "], id="half-a-head"),
    pytest.param([b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HT"], id="half-the-second-head"),
]


@pytest.mark.parametrize("sent", SLOW)
def test_a_slow_head_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: list[bytes]) -> None:
    monkeypatch.setattr(server_module, "HEAD_TIMEOUT", 0.2)
    with serving(echo) as server, connected(server) as connection:
        for part in sent:
            connection.sendall(part)
            if part.endswith(b"\r\n\r\n"):
                assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert connection.recv(1000) == b""  # the server closed it


def test_an_idle_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_TIMEOUT", 0.2)
    with serving(echo) as server, connected(server) as connection, connected(server) as witness:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert witness.recv(1) == b""  # it came later, said nothing, and its time was up
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_slow_body_is_cut_off(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_TIMEOUT", 0.05)
    with connected(server) as connection:
        head = b"POST /api/v1/rules/churn/pause HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(head + b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_a_sender_that_hangs_up_leaves_no_trace(server: WebServer, logged: list[object]) -> None:
    with connected(server) as connection:
        head = b"POST /api/v1/rules/churn/pause HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(head + b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
    assert httpx.get(f"{server.url}/healthz", trust_env=False).status_code == 200
    assert logged == []
