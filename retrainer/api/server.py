"""The web server: uvicorn in its own thread."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import structlog
import uvicorn

from retrainer.api.connections import Connections, Watch, limited, protocol
from retrainer.api.tls import encrypted
from retrainer.util.supervision import Worker, beat

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from retrainer.api.certificate import ServedCertificate

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only compared with the configured host
log = structlog.get_logger()
MAX_CONNECTIONS = 1000
"""Beyond this, the longest idle connections are closed; if none is idle, requests are answered with 503."""
BACKLOG = 256
"""Connections that may wait to be accepted. Without file descriptors asyncio retries, and reports, as many a second."""
MAX_HEAD = 16384
"""Bytes of a request's line and headers."""
KEEP_ALIVE = 65
"""Seconds that an idle connection is kept; load balancers keep theirs for 60."""


class _Server(uvicorn.Server):
    """Signals when it listens."""

    def __init__(self, config: uvicorn.Config, watch: Watch) -> None:
        super().__init__(config)
        self.settled = threading.Event()
        self._watch = watch

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._watch.start()
        await super().startup(sockets)
        self.settled.set()

    async def on_tick(self, counter: int) -> bool:
        beat()
        return await super().on_tick(counter)


class WebServer:
    """``port`` is the actual one once `start` has returned, also if 0 requested a free one."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        certificate: ServedCertificate | None = None,
        *,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.host, self.port = host, port
        self._scheme = "http" if certificate is None else "https"
        self.connections = connections = Connections(max_connections)
        http = protocol(connections) if certificate is None else encrypted(connections, certificate)
        self._server = _Server(
            uvicorn.Config(
                limited(app, connections),
                http=http,  # type: ignore[arg-type] # uvicorn only calls it
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                backlog=BACKLOG,
                h11_max_incomplete_event_size=MAX_HEAD,
                timeout_keep_alive=KEEP_ALIVE,
            ),
            Watch(connections),
        )
        self._thread = Worker("web", self._run, lambda: self._server.should_exit)
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{host}:{self.port}"

    @property
    def url_for_others(self) -> str:
        """The URL with the machine's name if it listens on all addresses: 0.0.0.0 cannot be used by clients."""
        return f"{self._scheme}://{socket.gethostname()}:{self.port}" if self.host in EVERYWHERE else self.url

    @property
    def url_for_replicas(self) -> str:
        """The URL with an address if it listens on all of them: a pod's name is known to that pod only."""
        try:
            address = socket.gethostbyname(socket.gethostname())
        except OSError:
            return self.url_for_others
        return f"{self._scheme}://{address}:{self.port}" if self.host in EVERYWHERE else self.url

    def start(self) -> None:
        """Return once it listens. Raise OSError that names the address if it cannot."""
        self._socket = _bound(self.host, self.port)
        self.port = self._socket.getsockname()[1]
        self._thread.start()
        self._server.settled.wait()
        log.info("web.listening", url=self.url)

    def stop(self, grace: float) -> None:
        """Accept no more requests. Those in progress get `grace` seconds; after twice that they are left behind."""
        if not self._thread.is_alive():
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace))
        self._server.should_exit = True
        self._thread.join(2 * grace)
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
