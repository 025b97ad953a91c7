"""The web server: ports, limits, slow senders, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from retrainer.api import connections, guard, lingering
from retrainer.api.server import MAX_HEAD, WebServer
from tests.unit.api.conftest import serving
from tests.waiting import until

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
    server.stop(1.0)  # a second stop has no effect


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


def test_a_new_connection_takes_the_place_of_the_longest_idle() -> None:
    with serving(echo, max_connections=3) as server, connected(server) as first, connected(server), connected(server):
        assert httpx.get(server.url, trust_env=False).status_code == 200
        with contextlib.suppress(ConnectionResetError):
            assert first.recv(10) == b""


def test_beyond_the_limit_only_probes_are_answered() -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            entered.release()
            await asyncio.to_thread(leave.wait, 20)
        await PlainTextResponse("done")(scope, receive, send)

    with serving(slow, max_connections=8) as server, contextlib.ExitStack() as stack:
        for _ in range(4):
            busy = stack.enter_context(connected(server))
            busy.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert entered.acquire(timeout=20)
        refused = httpx.get(f"{server.url}/other", trust_env=False)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        for probe in ("/healthz", "/readyz"):
            assert httpx.get(server.url + probe, trust_env=False).status_code == 200
        leave.set()


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.2)
    monkeypatch.setattr(connections, "LOOK_EVERY", 0.05)

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(b"x" * (64 << 20))(scope, receive, send)

    with serving(large) as server, connected(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        until(lambda: not server.connections.total, "it was cut off")
        with contextlib.suppress(ConnectionResetError):
            read = 0
            while part := connection.recv(1 << 20):
                read += len(part)
            assert read < 64 << 20


def test_without_descriptors_it_says_so_seldom_and_goes_on(logged: list[dict[str, object]]) -> None:
    with serving(echo) as server, connected(server) as idle:
        loop = asyncio.new_event_loop()
        crowd = connections.Connections(10)
        watch = connections.Watch(crowd)
        for _ in range(500):
            watch._trouble(
                loop, {"message": "socket.accept() out of system resource", "exception": OSError(24, "many")}
            )
        loop.close()
        idle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
    assert len([line for line in logged if line["event"] == "web.trouble"]) == 1


class Standing:
    """A connection as the registry of connections uses it."""

    def __init__(self, peer: str) -> None:
        self.peer, self.transport, self.cut = peer, self, False

    def abort(self) -> None:
        self.cut = True


def crowd_of(most: int, *peers: str) -> tuple[connections.Connections, list[Any]]:
    crowd = connections.Connections(most)
    standing: list[Any] = [Standing(peer) for peer in peers]
    for one in standing:
        crowd.add(one)
    return crowd, standing


def test_who_has_most_connections_loses_one_first() -> None:
    _, standing = crowd_of(4, "proxy", "flood", "flood", "flood", "kubelet")
    assert [one.cut for one in standing] == [False, True, False, False, False]


def test_one_address_has_at_most_half_of_the_requests() -> None:
    crowd, standing = crowd_of(4, "flood", "flood", "flood", "proxy")
    for one in standing:
        crowd.mark(one, busy=True)
    assert (crowd.crowded("flood"), crowd.crowded("proxy")) == (True, False)
    crowd.remove(standing[0])
    assert not crowd.crowded("flood")


def test_when_nobody_is_idle_the_reserve_is_bounded() -> None:
    crowd, standing = crowd_of(4, *["flood"] * 4)
    for one in standing:
        crowd.mark(one, busy=True)
    late: list[Any] = [Standing("kubelet") for _ in range(connections.RESERVE + 3)]
    for one in late:
        crowd.add(one)
        crowd.mark(one, busy=True)
    assert [one.cut for one in late].count(True) == 3
    assert not any(one.cut for one in standing)


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
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.2)
    with serving(echo) as server, connected(server) as connection:
        for part in sent:
            connection.sendall(part)
            if part.endswith(b"\r\n\r\n"):
                assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert connection.recv(1000) == b""  # the server closed the connection


def test_an_idle_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.2)
    with serving(echo) as server, connected(server) as connection, connected(server) as witness:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert witness.recv(1) == b""  # opened later, sent nothing, and reached the timeout
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


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("too much", 413, {"Connection": "close"})(scope, receive, send)


def test_a_refusal_reaches_who_is_still_sending() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n"
    with serving(refuse) as server, connected(server) as sender:
        sender.sendall(head)
        assert select.select([sender], [], [], 10)[0], "it was refused before the body"
        sender.sendall(b"x" * 4_000_000)
        answer = b"".join(iter(lambda: sender.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.endswith(b"too much")


def cut_off(sender: socket.socket, piece: bytes, times: int) -> bool:
    try:
        for _ in range(times):
            sender.sendall(piece)
            time.sleep(0.01 if len(piece) == 1 else 0)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_who_goes_on_sending_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "MOST", 1 << 20)
    with serving(refuse) as server, connected(server) as sender:
        sender.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        assert cut_off(sender, b"x" * 100_000, 1000)


def test_who_neither_ends_nor_closes_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "LONGEST", 0.2)
    with serving(refuse) as server, connected(server) as sender:
        sender.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        assert select.select([sender], [], [], 10)[0]
        assert cut_off(sender, b"x", 3000)
