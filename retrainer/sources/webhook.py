"""Events received by HTTP POST. Status 202 means that they are durable."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retrainer.config.models import Secret
from retrainer.config.shared_secrets import WAY_OUT, shared_secrets
from retrainer.event import Event, Poison
from retrainer.rules.self_trigger import ATTRIBUTE, HEADER
from retrainer.sources.base import Batch, Intake, Overloaded
from retrainer.sources.formats.alertmanager import TRUNCATED
from retrainer.sources.formats.payload import Delivery, Unreadable, poison
from retrainer.sources.http import handshake
from retrainer.sources.http.authentication import Proofs
from retrainer.sources.http.body import Bodies
from retrainer.sources.http.browser_requests import Doors
from retrainer.sources.http.hook import Hook, Served
from retrainer.sources.http.parse_memory import ParseMemory
from retrainer.sources.http.refusal import Challenge, Refusal, not_now
from retrainer.sources.http.rejections import Doorkeeper
from retrainer.sources.http.unreadable_bodies import Letterbox

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Receive, Scope, Send

    from retrainer.sources.formats.registry import Items
    from retrainer.sources.http.signature import Signed
    from retrainer.util.clock import Clock

SecretReader = Callable[[Secret], str]
COMMIT_TIMEOUT = 20.0
MOST_ERRORS = 100
"""Errors that a response lists; the dead letters have all of them."""
MAX_RUN = 64
"""Characters of a run's id, which is stored with each event of a request."""
log = structlog.get_logger()


class RequestMetrics(Protocol):
    def refused(self, door: str, status: int) -> None:
        """Count a rejected request of an endpoint."""

    def dead_letters_left_out(self, source: str, count: int) -> None:
        """Count unreadable items of a source that an earlier dead letter represents."""


class Webhooks:
    """All webhooks of a configuration, behind one route.

    ``secrets`` returns the current text of a secret; it raises OSError or ValueError if it cannot.
    """

    def __init__(
        self,
        sources: Mapping[str, Served],
        intake: Intake,
        clock: Clock,
        secrets: SecretReader,
        doors: Doors | None = None,
        metrics: RequestMetrics | None = None,
    ) -> None:
        self._intake, self._clock = intake, clock
        self._proofs = Proofs(clock, secrets)
        self._doors = doors or Doors()
        self._keeper = Doorkeeper(metrics.refused if metrics is not None else _uncounted, self._doors.wrong_tokens)
        self._bodies, self._memory = Bodies(), ParseMemory()
        self._letters = Letterbox(metrics.dead_letters_left_out if metrics is not None else _uncounted)
        self._stopping = False
        self._warned_open: set[str] = set()
        self._warned_shared: set[tuple[str, str]] = set()
        self.replace(sources)

    def replace(self, sources: Mapping[str, Served]) -> None:
        """Serve these sources from the next request on. Raise ValueError, changing nothing, if two share a path."""
        hooks: dict[str, Hook] = {}
        for name, config in sources.items():
            hook = Hook.of(name, config)
            path = hook.config.path.rstrip("/")
            if path in hooks:
                raise ValueError(f"sources {hooks[path].name} and {name} both listen on {hook.config.path}")
            hooks[path] = hook
        self._hooks = hooks
        self._tell_open()
        self._tell_shared()

    def _tell_open(self) -> None:
        opened = {hook.name for hook in self._hooks.values() if hook.config.token is None and hook.config.hmac is None}
        for name in sorted(opened - self._warned_open) if self._doors.beyond_loopback else ():
            log.warning("webhook.anybody_may_send", source=name, better="set `token` or `hmac` on it")
        self._warned_open = opened

    def _tell_shared(self) -> None:
        shared = set(shared_secrets({hook.name: hook.config for hook in self._hooks.values()}))
        for name, other in sorted(shared - self._warned_shared):
            log.warning("webhook.shared_secret", source=name, other=other, better=WAY_OUT)
        self._warned_shared = shared

    def stop(self) -> None:
        """Accept nothing more: answer further requests with 503, and finish those in progress."""
        self._stopping = True

    def route(self) -> Route:
        return Route("/hooks/{path:path}", endpoint=self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.handle(Request(scope, receive))
        await response(scope, receive, send)

    async def handle(self, request: Request) -> Response:
        """Process a request. Return 202 once its events are stored, else a problem document."""
        path = request.scope["path"]
        hook = self._hooks.get(path.rstrip("/"))
        try:
            return await self._admit(request, hook)
        except Challenge as challenge:
            return challenge.response()
        except Refusal as refusal:
            peer = request.client.host if request.client else ""
            return self._keeper.turn_away(hook.name if hook else "hooks", peer, path, refusal).response()
        except ClientDisconnect:
            log.debug("webhook.disconnected", path=path)
            return Refusal(400, "the connection ended before the body did").response()

    async def _admit(self, request: Request, hook: Hook | None) -> Response:
        if hook is None:
            raise Refusal(404, "no source listens on this path")
        proven = hook.config.token is not None or hook.config.hmac is not None
        if not proven:
            self._doors.check_host(request.headers)
        self._doors.check_origin(request.headers, proven=proven)
        if request.method == "OPTIONS" and hook.format == "cloudevents" and handshake.ORIGIN in request.headers:
            return handshake.answer(request.headers)
        if request.method != "POST":
            raise Refusal(405, "send events with POST", {"Allow": "POST"})
        if self._stopping:
            raise not_now("retrainer is stopping", 5)
        return await self._take(request, hook)

    async def _take(self, request: Request, hook: Hook) -> Response:
        headers = _joined(request.headers)
        hook.check_content(headers)
        self._proofs.check_token(hook, headers)
        config = hook.config
        async with self._bodies.read(request, config.max_body, config.body_timeout) as raw:
            signed = self._proofs.check_signature(hook, headers, raw)
            delivery = self._delivery(hook, headers, raw, signed)
            try:
                delivery = hook.unpack(delivery)
            except Unreadable as error:
                return await self._store(hook, signed, (poison(delivery, error),))
            with self._memory.hold(delivery.body, config.max_body) as held:
                return await self._store(hook, signed, hook.read(replace(delivery, told=held.add)))

    async def _store(self, hook: Hook, signed: Signed | None, items: Items) -> Response:
        self._proofs.check_use(hook, signed, items)
        _tell_left_out(hook, items)
        outcomes = await self._commit(hook, items) if items else ()
        errors = [{"item": i, "error": item.error} for i, item in enumerate(items) if isinstance(item, Poison)]
        content: dict[str, Any] = {"outcomes": list(outcomes)}
        if errors:
            content["errors"] = errors[:MOST_ERRORS]
        if len(errors) > MOST_ERRORS:
            content["errors_left_out"] = len(errors) - MOST_ERRORS
        return JSONResponse(content, 202)

    def _delivery(self, hook: Hook, headers: Mapping[str, str], raw: bytes, signed: Signed | None) -> Delivery:
        """A signed request always has an identity. Headers that a scheme could sign but did not are dropped."""
        if signed is not None and signed.covered is not None:
            headers = {name: value for name, value in headers.items() if name in signed.covered}
        return Delivery(
            source=hook.name,
            body=raw,
            received_at=self._clock.now(),
            id=(signed and signed.identity) or f"request:{uuid.uuid4().hex}",
            headers=headers,
            max_size=hook.config.max_body,
            refusing=True,
            attributes={ATTRIBUTE: headers[HEADER][:MAX_RUN]} if HEADER in headers else {},
        )

    async def _commit(self, hook: Hook, items: Items) -> tuple[str, ...]:
        """Wait until the items are durable. Raise Refusal 503 if it is not known that they are."""
        # Long enough that a replayed request is either refused or recognised as a duplicate.
        window = max(hook.identity_window, 2 * hook.config.timestamp_tolerance)
        items = self._letters.fit(hook.name, items, self._clock.monotonic())
        try:
            batch = Batch(hook.name, items, window, tracked=hook.tracked)
            future = asyncio.wrap_future(self._intake.offer(batch))
        except Overloaded as error:
            raise not_now(str(error), error.retry_after) from None
        # `wait` cancels nothing on a timeout or shutdown: the engine still settles the future.
        await asyncio.wait({future}, timeout=COMMIT_TIMEOUT)
        if not future.done() or future.cancelled() or future.exception() is not None:
            reason = str(future.exception()) if future.done() and not future.cancelled() else "no answer"
            log.error("webhook.not_stored", source=hook.name, error=reason)
            raise not_now("the events could not be stored; send them again", 5)
        self._letters.stored(hook.name, items, self._clock.monotonic())
        return tuple(future.result().outcomes)


def _uncounted(_where: str, _what: int) -> None:
    """Without metrics."""


def _joined(headers: Headers) -> dict[str, str]:
    return {name: ", ".join(headers.getlist(name)) for name in headers}


def _tell_left_out(hook: Hook, items: Items) -> None:
    """Log a warning when a sender left alerts out: they reach no rule."""
    for item in items:
        if isinstance(item, Event) and item.attributes.get(TRUNCATED) and hook.format == "alertmanager":
            log.warning("webhook.alerts_left_out", source=hook.name, alerts=item.attributes[TRUNCATED])
            return
