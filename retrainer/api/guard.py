"""Checks every request: its token, origin and size. Adds security headers to every response.

The API is for programs. A browser can be made to send requests to it, so pages of other origins cannot change anything:
a mutation must have a JSON body or none, an Origin must be our own, and without a token only loopback names are
accepted as Host (a page that rebinds its name to 127.0.0.1 still sends its own name).
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request

from retrainer.api.forward import PASSED_ON, USER, pass_on
from retrainer.api.session import claimed
from retrainer.api.tokens import KnownSession, RefusedToken, Tokens
from retrainer.api.verbs import route_of
from retrainer.engine.core.notifications import ActRecorded
from retrainer.sources.formats.payload import Delivery, Unreadable, load
from retrainer.sources.http.browser_requests import Doors, is_loopback
from retrainer.sources.http.parse_memory import ParseMemory
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.sources.http.rejections import Doorkeeper
from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from retrainer.api.context import ApiContext
    from retrainer.config.settings import Settings

CALLER = "retrainer.caller"
"""Key of the scope with the `Caller`."""
MAX_BODY = 1 << 20
"""Bytes that a request body to the API may have."""
_OF_LEADER = "/api/v1/simulations"
"""Reads that the leader answers: it has the simulations, in its memory."""
BODY_TIMEOUT = 10.0
"""Seconds that it may take."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def check_bind(settings: Settings) -> None:
    """Raise ValueError if the API would be open to the network, or unusable because a token cannot be read."""
    http = settings.http
    if http.token is None and not http.tokens and not is_loopback(http.host):
        raise ValueError(
            f"http.host {http.host} is not loopback and http.token is not set: anyone could start and "
            "stop runs. Set http.token ({from_env: …} or {from_file: …}), or bind to 127.0.0.1"
        )
    Tokens(http).check()


class Guard:
    """Passes webhooks on to their sources, which have their own checks; API requests are checked here."""

    def __init__(self, app: ASGIApp, context: ApiContext, tokens: Tokens) -> None:
        self._app, self._context, self._tokens = app, context, tokens
        self._doors = Doors.of(context.settings.http)
        self._keeper = Doorkeeper(context.metrics.process.refused, self._doors.wrong_tokens, "api.refused")
        self._memory = ParseMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _hardened(send)
        path: str = scope["path"]
        try:
            if path.startswith("/hooks/"):
                await self._context.webhooks(scope, receive, send)
            elif path.startswith(("/api/", "/-/")):
                await self._checked(scope, receive, send)
            else:
                self._doors.check_host(Request(scope).headers)
                await self._app(scope, receive, send)
        except Refusal as refusal:
            await self._refused(scope, refusal).response()(scope, receive, send)

    def _refused(self, scope: Scope, refusal: Refusal) -> Refusal:
        path: str = scope["path"]
        if not isinstance(refusal, RefusedToken):
            return self._keeper.turn_away("api", peer_of(scope), path, refusal)
        answer = self._keeper.turn_away("api", peer_of(scope), path, refusal, by=refusal.caller)
        route = route_of(scope["method"], path)
        act = ActRecorded("request", refusal.caller, address=address_of(Request(scope)), detail=refusal.detail)
        self._context.activity.refused(replace(act, target=route[0] if route else ""), logged=True)
        self._context.metrics.process.refused_token(refusal.caller, refusal.reason)
        return answer

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            given = request.headers.get("authorization", "")
            user = request.headers.get(USER, "")
            caller = self._tokens.admit(request.method, scope["path"], given, self._session(request), user)
            scope[CALLER] = caller
            if not caller.proven:
                self._doors.check_host(request.headers)
            body = b""
            if request.method not in ("GET", "HEAD"):
                self._doors.check_origin(request.headers, proven=caller.proven)
                body = await _read(request)
        except ClientDisconnect:
            return
        if request.method in ("GET", "HEAD") and not request.url.path.startswith(_OF_LEADER):
            await self._app(scope, receive, send)
            return
        with self._memory.hold(body, MAX_BODY):
            _check_content(request.headers, body)
            await self._change(request, _replayed(body, receive), send)

    def _session(self, request: Request) -> KnownSession | None:
        session = claimed(request.cookies, self._context.settings.name)
        return None if session is None else KnownSession(session, self._context.engine.clock.now())

    async def _change(self, request: Request, receive: Receive, send: Send) -> None:
        if leader := await self._leader(request):
            answer = await pass_on(Request(request.scope, receive), leader, address_of(request))
            await answer(request.scope, receive, send)
        else:
            await self._app(request.scope, receive, send)

    async def _leader(self, request: Request) -> str:
        """Return the URL of the leader if it must process the request, else empty. /-/ concerns this replica only."""
        if not request.url.path.startswith("/api/") or PASSED_ON in request.headers:
            return ""
        try:
            return await asyncio.to_thread(self._context.leader)
        except StoreError as error:
            raise not_now(str(error), 5) from None


async def _read(request: Request) -> bytes:
    """Read the whole body. Raise Refusal 408 or 413."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Refusal(413, f"the body may have at most {MAX_BODY} bytes", {"Connection": "close"})
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {BODY_TIMEOUT:g} s", {"Connection": "close"}) from None
    return bytes(body)


def _check_content(headers: Headers, body: bytes) -> None:
    """Check content type and JSON. Raise Refusal 400 or 415."""
    content_type = headers.get("content-type")
    if content_type is None and not body:
        return
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "send `Content-Type: application/json`")
    if not body:
        return
    try:
        load(Delivery("api", body, 0.0, "api"))
    except Unreadable as error:
        raise Refusal(400, str(error)) from None


def peer_of(scope: Scope) -> str:
    """Return the address of the sender, or of a proxy in front of us."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def address_of(request: Request) -> str:
    """Return the address of the sender. If another replica passed it on: "ADDRESS via REPLICA", as nobody checks it."""
    peer, sender = peer_of(request.scope), request.headers.get(PASSED_ON)
    if sender is None:
        return peer
    try:
        return f"{ipaddress.ip_address(sender)} via {peer}"
    except ValueError:
        return f"via {peer}"


def _replayed(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return hardened
