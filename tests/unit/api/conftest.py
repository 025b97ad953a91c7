from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog

from retrainer.api.app import build
from retrainer.api.server import WebServer
from tests.unit.api.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send


class Current:
    """Holds the application of the current test. All tests share one server, because starting one for each is slow."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextmanager
def serving(app: ASGIApp, **limits: int) -> Iterator[WebServer]:
    """A real server on a free port."""
    server = WebServer(app, "127.0.0.1", 0, **limits)
    server.start()
    try:
        yield server
    finally:
        server.stop(1.0)


@pytest.fixture(scope="package")
def shared() -> Iterator[tuple[Current, WebServer]]:
    current = Current()
    with serving(current) as server:
        yield current, server


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    yield daemon
    daemon.memory.close()


@pytest.fixture
def server(shared: tuple[Current, WebServer], daemon: Daemon) -> WebServer:
    current, server = shared
    current.app = build(daemon)
    return server


@pytest.fixture
def client(server: WebServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client
