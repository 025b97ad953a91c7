"""The soak's proxies: open, cut, silent and restored; and the load balancer that uses answering daemons."""

from __future__ import annotations

import socket
import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

from tests.integration.postgres.proxy import Proxy
from tests.soak.servers import Door

if TYPE_CHECKING:
    from collections.abc import Iterator


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(100):
            self.request.sendall(data)


@pytest.fixture
def server() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as serving:
        serving.daemon_threads = True
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        yield serving.server_address[1]
        serving.shutdown()
        thread.join()


def said(port: int) -> bytes:
    """The response; empty if the connection is cut."""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        try:
            line.sendall(b"word")
            return line.recv(100)
        except ConnectionError:
            return b""


def test_a_line_that_is_severed_is_cut_until_it_is_healed(server: int) -> None:
    proxy = Proxy(server)
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as line:
            line.sendall(b"word")
            assert line.recv(100) == b"word"
            proxy.sever(True)
            assert line.recv(100) == b""
        assert said(proxy.port) == b""
        proxy.sever(False)
        assert said(proxy.port) == b"word"
    finally:
        proxy.close()


def test_a_line_that_is_hushed_says_nothing(server: int) -> None:
    proxy = Proxy(server)
    try:
        proxy.hush(True)
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as line:
            line.settimeout(0.2)
            line.sendall(b"word")
            with pytest.raises(TimeoutError):
                line.recv(100)
        proxy.hush(False)
        assert said(proxy.port) == b"word"
    finally:
        proxy.close()


def test_the_door_leads_to_whoever_answers(server: int) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        door = Door()
        door.ports = [nobody.getsockname()[1], server]
        try:
            assert [said(door.port) for _ in range(4)] == [b"word"] * 4
        finally:
            door.close()
