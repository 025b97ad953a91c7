"""How answers travel: compressed, and not a second time if the client has them already."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipResponder, IdentityResponder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MINIMUM = 1024
"""Bytes from which on an answer is compressed."""
LEVEL = 1
"""Lists and metrics shrink to a tenth or less; higher levels take three times as long for a fifth less."""
_AS_THEY_ARE = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/vnd.sqlite3")
"""Types that are not compressed. A copy of the store is large: the daemon needs the time for itself."""
_STORED = "private, no-cache"
"""The client may keep an answer with a tag, and has to ask whether it still holds."""
_OF_THE_CONTENT = ("content-length", "content-type")


class Compressed:
    """Compresses answers for clients that accept gzip. Large ones are compressed in a thread of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and takes_gzip(Headers(scope=scope).get("accept-encoding", "")):
            app = GZipResponder(app, MINIMUM, LEVEL, exclude_content_types=_AS_THEY_ARE)
        elif scope["type"] == "http":
            app = IdentityResponder(app, MINIMUM)
        await app(scope, receive, send)


class Conditional:
    """Tags the JSON answers to GET under /api/, and answers 304 if the client has this one (RFC 9110, 13.1.2).

    The tag is a digest of the answer: it saves the transfer and the parsing, not the reading of the store.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith("/api/"):
            send = _Tagged(send, Headers(scope=scope).get("if-none-match", "")).send
        await self._app(scope, receive, send)


class _Tagged:
    """Holds the head of an answer back until its body is known. Streamed answers have no tag."""

    def __init__(self, send: Send, known: str) -> None:
        self._send, self._known = send, known
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _can_have_a_tag(message):
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body", False):
                message = self._tag(start, message)
            await self._send(start)
        await self._send(message)

    def _tag(self, start: Message, message: Message) -> Message:
        tag = f'W/"{hashlib.blake2b(message.get("body", b""), digest_size=12).hexdigest()}"'
        headers = MutableHeaders(scope=start)
        headers["ETag"], headers["Cache-Control"] = tag, _STORED
        headers.add_vary_header("Authorization")
        if not _names(self._known, tag):
            return message
        start["status"] = 304
        for name in _OF_THE_CONTENT:
            del headers[name]
        return {**message, "body": b""}


def _can_have_a_tag(start: Message) -> bool:
    return start["status"] == 200 and Headers(raw=start["headers"]).get("content-type") == "application/json"


def _names(known: str, tag: str) -> bool:
    """Whether an If-None-Match has a tag, by weak comparison (RFC 9110, 8.8.3.2)."""
    return known.strip() == "*" or tag.removeprefix("W/") in re.findall(r'"[^"]*"', known)


def takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding accepts gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for choice in accepted.lower().split(","):
        coding, _, parameter = choice.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "")
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", "q=0")))
    return not re.fullmatch(r"q=0(\.0{0,3})?", weight)
