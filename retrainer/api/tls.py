"""Encrypts accepted connections, then hands them to uvicorn's protocol.

asyncio's own servers keep one context for ever, and hide a connection until its handshake is done. Here it counts from
the start, like an idle one, and has `HANDSHAKE_TIMEOUT` seconds.
"""

from __future__ import annotations

import asyncio
from asyncio import sslproto
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.api.connections import PROBES, Connections, protocol
from retrainer.sources.http.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from retrainer.api.certificate import ServedCertificate

log = structlog.get_logger()
HANDSHAKE_TIMEOUT = 10.0
"""Seconds that a handshake may take."""
SHUTDOWN_TIMEOUT = 3.0
"""Seconds in which a client must confirm the end of a connection."""
WRITE_BUFFER = 65536
"""Bytes of output that are buffered before a response waits: what asyncio has without TLS."""
READ_BUFFER = 16384
"""Bytes that asyncio reserves for what each connection receives: one record of TLS. Its own 256 KiB would be 250 MB for
a thousand connections."""


class TlsConnection(asyncio.Protocol):
    """A connection until its handshake is done. Then ``http()`` takes it over."""

    def __init__(self, crowd: Connections, certificate: ServedCertificate, http: Callable[[], Any]) -> None:
        self._crowd, self._certificate, self._http = crowd, certificate, http
        self.transport: Any = None
        self.peer = ""
        self._early = b""
        self._lost = False
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.pause_reading()  # the first bytes are for the handshake, which is not there yet
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._crowd.add(self)
        self._handshake = asyncio.ensure_future(self._encrypt())

    def data_received(self, data: bytes) -> None:
        """Keep a request that came with the end of the handshake."""
        self._early += data

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost = True

    def reads_nothing(self, _now: float) -> bool:
        return False

    async def _encrypt(self) -> None:
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                self.transport,
                self,
                self._certificate.current.server,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
        except OSError as error:  # plain HTTP, one that does not trust us or that we do not trust, a scanner
            log.debug("tls.handshake_failed", peer=self.peer, error=str(error))
            return
        finally:
            self._crowd.remove(self)
        if encrypted is not None and not self._lost:
            self._hand_over(encrypted)

    def _hand_over(self, encrypted: asyncio.Transport) -> None:
        http = self._http()
        http.wire = self.transport
        if self._certificate.demands and not encrypted.get_extra_info("peercert"):
            http.app = without_certificate(http.app)
        encrypted.set_write_buffer_limits(WRITE_BUFFER)
        encrypted.set_protocol(http)
        http.connection_made(encrypted)
        if self._early:
            http.data_received(self._early)


def encrypted(connections: Connections, certificate: ServedCertificate) -> Callable[..., asyncio.Protocol]:
    """Return what makes uvicorn's protocols: `TlsConnection`, before those of `protocol`."""
    sslproto.SSLProtocol.max_size = READ_BUFFER
    http = protocol(connections)

    def accept(**options: Any) -> asyncio.Protocol:
        return TlsConnection(connections, certificate, partial(http, **options))

    return accept


def without_certificate(app: ASGIApp) -> ASGIApp:
    """Answer probes only: the client has presented no certificate."""

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PROBES:
            detail = "present a client certificate from one of the authorities in http.tls.client_authorities"
            await Refusal(403, detail, {"Connection": "close"}).response()(scope, receive, send)
        else:
            await app(scope, receive, send)

    return ask
