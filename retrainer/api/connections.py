"""Limits for the web server's connections: how long each may take, and which one is closed if there are too many.

uvicorn counts idle connections like busy ones, and responds with 503 to all requests, including probes, once there are
too many. It also waits for ever for a request's head, and for a client that does not read.
"""

from __future__ import annotations

import asyncio
import resource
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from retrainer.api.lingering import Lingering
from retrainer.sources.http.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

log = structlog.get_logger()
RESERVE = 32
"""Connections beyond the limit, on which only probes are answered."""
PROBES = frozenset({"/healthz", "/readyz"})
HEAD_TIMEOUT = 10.0
"""Seconds in which a client must have sent a request's line and headers."""
WRITE_TIMEOUT = 30.0
"""Seconds in which a client must read the pending output, or 48 KiB of it."""
LOOK_EVERY = 1.0
"""Seconds between checks for clients that do not read."""
DESCRIPTORS_LEFT = 128
"""File descriptors that are reserved for the rest of the process."""


class Counted(Protocol):
    """A connection: in its handshake, or with HTTP."""

    peer: str
    transport: Any

    def reads_nothing(self, now: float, /) -> bool:
        """Return whether its client has read no output for too long."""


class Connections:
    """At most ``most`` connections at once; at most half of them busy for one address (``per_peer``).

    A new connection replaces the longest idle one of the address with most connections. Requests beyond the limits are
    answered with 503. Only for the server's own event loop.
    """

    def __init__(self, most: int) -> None:
        self.most = min(most, _affordable())
        self.per_peer = max(1, self.most // 2)
        self._of: dict[str, OrderedDict[Counted, bool]] = {}
        """By address, from the longest idle to the last used; the value is whether it is busy."""
        self.total = self.busy = 0

    def add(self, connection: Counted) -> None:
        self._of.setdefault(connection.peer, OrderedDict())[connection] = False
        self.total += 1
        if self.total > self.most and not self.shed(1, sparing=connection) and self.total > self.most + RESERVE:
            connection.transport.abort()

    def mark(self, connection: Counted, *, busy: bool) -> None:
        """Record whether a request is in progress on it. Idempotent."""
        of_peer = self._of.get(connection.peer, OrderedDict())
        if connection in of_peer and of_peer[connection] != busy:
            self.busy += 1 if busy else -1
            of_peer[connection] = busy
            of_peer.move_to_end(connection)

    def remove(self, connection: Counted) -> None:
        of_peer = self._of.get(connection.peer, OrderedDict())
        if connection in of_peer:
            self.total -= 1
            self.busy -= of_peer.pop(connection)
        if not of_peer:
            self._of.pop(connection.peer, None)

    def crowded(self, peer: str) -> bool:
        """Whether more requests are in progress than allowed."""
        of_peer = self._of.get(peer, OrderedDict())
        return self.busy > self.most or (len(of_peer) > self.per_peer and sum(of_peer.values()) > self.per_peer)

    def shed(self, count: int, sparing: Counted | None = None) -> int:
        """Close up to ``count`` idle connections. Return how many were closed."""
        cut = 0
        for peer in sorted(self._of, key=lambda peer: -len(self._of[peer])):
            idle = [each for each, busy in self._of[peer].items() if not busy and each is not sparing][: count - cut]
            self._abort(idle)
            cut += len(idle)
            if cut >= count:
                break
        return cut

    def _abort(self, connections: Iterable[Counted]) -> None:
        for connection in connections:
            self.remove(connection)
            connection.transport.abort()

    def look(self, now: float) -> None:
        """Close connections whose client does not read; ``now`` is the loop's time."""
        stuck = [each for of_peer in self._of.values() for each in of_peer if each.reads_nothing(now)]
        self._abort(stuck)
        if stuck:
            log.warning("web.clients_do_not_read", connections=len(stuck), peers=sorted({c.peer for c in stuck})[:10])


def _affordable() -> int:
    """Return how many connections the limit of file descriptors allows, leaving some for the rest of the process."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 20 if descriptors == resource.RLIM_INFINITY else max(16, descriptors - DESCRIPTORS_LEFT)


class HttpConnection:
    """What our connections do in addition to uvicorn's."""

    crowd: Connections
    loop: asyncio.AbstractEventLoop
    transport: Lingering
    cycle: Any
    peer = ""
    wire: asyncio.Transport | None = None
    """Below TLS: what is encrypted already waits there."""
    _deadline: asyncio.TimerHandle | None = None
    _waits_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(Lingering(transport, self.loop, self._sends))  # type: ignore[misc]
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._watch()
        self.crowd.add(self)

    def data_received(self, data: bytes) -> None:
        if self.transport.lingers:
            self.transport.discard(len(data))
            return
        super().data_received(data)  # type: ignore[misc]
        self._watch()

    def on_response_complete(self) -> None:
        self.crowd.mark(self, busy=False)
        super().on_response_complete()  # type: ignore[misc]
        self._watch_next()

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        self.transport.end()
        self.crowd.remove(self)
        super().connection_lost(error)  # type: ignore[misc]

    def resume_writing(self) -> None:
        self._waits_since = None
        super().resume_writing()  # type: ignore[misc]

    def reads_nothing(self, now: float) -> bool:
        if not self.transport.get_write_buffer_size() and not (self.wire and self.wire.get_write_buffer_size()):
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        return self._waits_since is not None and now - self._waits_since > WRITE_TIMEOUT

    def _watch(self) -> None:
        if self._under_way():
            self._forget()
            self.crowd.mark(self, busy=True)
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _watch_next(self) -> None:
        """A request that arrived in the same packet has started already."""
        if self._under_way():
            self.crowd.mark(self, busy=True)

    def _sends(self) -> bool:
        return self.cycle is not None and bool(self.cycle.more_body)

    def _under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol class for uvicorn: its own protocol, with our limits."""
    return type("RetrainerProtocol", (HttpConnection, AutoHTTPProtocol), {"crowd": connections})


def limited(app: ASGIApp, connections: Connections) -> ASGIApp:
    """Respond with 503 beyond the limits, except to probes."""

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        peer = str((scope.get("client") or ("",))[0])
        if scope["type"] == "http" and scope["path"] not in PROBES and connections.crowded(peer):
            answer = Refusal(
                503, "too many concurrent requests", {"Retry-After": "1", "Connection": "close"}
            ).response()
            await answer(scope, receive, send)
        else:
            await app(scope, receive, send)

    return ask


class Watch:
    """Checks the connections in the server's loop, and logs the loop's errors at a limited rate."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._logged_at: dict[str, float] = {}

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._trouble)
        loop.call_later(LOOK_EVERY, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._connections.look(loop.time())
        loop.call_later(LOOK_EVERY, self._look, loop)

    def _trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Without file descriptors asyncio reports an error for each waiting connection, and retries a second later."""
        message, error = str(context.get("message")), context.get("exception")
        if loop.time() - self._logged_at.get(message, -60.0) < 10.0:
            return
        self._logged_at = {
            **{text: at for text, at in self._logged_at.items() if loop.time() - at < 60.0},
            message: loop.time(),
        }
        shed = self._connections.shed(16) if "accept" in message else 0
        log.error("web.trouble", what=message, error=repr(error), idle_connections_cut=shed, again_in=10)
