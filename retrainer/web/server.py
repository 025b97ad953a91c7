"""The web server: uvicorn in a thread of its own."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from retrainer.supervisor import Worker, beat

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - it is chosen elsewhere
log = structlog.get_logger()
MAX_CONNECTIONS = 1000
"""Beyond so many connections requests are answered 503."""
MAX_HEAD = 16384
"""Bytes that a request's line and headers may take."""
HEAD_TIMEOUT = 10.0
"""Seconds that a sender may take for them."""
KEEP_ALIVE = 65
"""Seconds that an idle connection is kept; load balancers keep theirs for 60."""


class _Impatient:
    """Closes a connection whose request head takes too long; uvicorn alone would wait, and count it, for ever."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        self._watch()

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        super().connection_lost(error)  # type: ignore[misc]

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


_PROTOCOL = type("ImpatientProtocol", (_Impatient, AutoHTTPProtocol), {})


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    async def on_tick(self, counter: int) -> bool:
        beat()
        return await super().on_tick(counter)


class WebServer:
    """``port`` is the real one once `start` has returned, also where 0 asked for a free one."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self.host, self.port = host, port
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_PROTOCOL,
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                limit_concurrency=max_connections,
                h11_max_incomplete_event_size=MAX_HEAD,
                timeout_keep_alive=KEEP_ALIVE,
            )
        )
        self._thread = Worker("web", self._run, lambda: self._server.should_exit)
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def url_for_others(self) -> str:
        """The machine's name where it listens on all of its addresses: nobody can ask 0.0.0.0."""
        return f"http://{socket.gethostname()}:{self.port}" if self.host in EVERYWHERE else self.url

    @property
    def url_for_replicas(self) -> str:
        """By address where it listens on all of them: a pod's name is known to itself alone."""
        try:
            address = socket.gethostbyname(socket.gethostname())
        except OSError:
            return self.url_for_others
        return f"http://{address}:{self.port}" if self.host in EVERYWHERE else self.url

    def start(self) -> None:
        """Return once it listens. Raise OSError, naming the address, if it cannot."""
        self._socket = _bound(self.host, self.port)
        self.port = self._socket.getsockname()[1]
        self._thread.start()
        self._server.settled.wait()
        log.info("web.listening", url=self.url)

    def stop(self, grace: float) -> None:
        """Take no more requests, and give those under way `grace` seconds."""
        if not self._thread.is_alive():
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace))
        self._server.should_exit = True
        self._thread.join(grace + 5)
        log.info("web.stopped")

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket] if self._socket is not None else None)
        finally:
            self._server.settled.set()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {host}:{port} ({reason}); set http.host and http.port") from error
    return bound
