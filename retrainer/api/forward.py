"""Forwards mutating requests to the leader, and returns its response unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from retrainer.sources.http.refusal import not_now

if TYPE_CHECKING:
    from starlette.requests import Request

TIMEOUT = 30.0
PASSED_ON = "retrainer-passed-on"
"""Header of a request that another replica forwarded, with the sender's address. It is not forwarded again, even if the
leader has changed."""
USER = "retrainer-user"
"""Header with the name of the user on whose behalf a program sends a request. Nobody checks it."""
_REQUEST_HEADERS = ("authorization", "cookie", "content-type", "accept", "idempotency-key", "user-agent", USER)
_RESPONSE_HEADERS = ("content-type", "retry-after", "location", "www-authenticate")


async def pass_on(request: Request, leader: str, address: str) -> Response:
    """Forward to the leader, over TLS if that is served here.

    Raise Refusal 503 if it does not answer; it may still have processed the request.
    """
    import httpx  # noqa: PLC0415 - six megabytes, which only replicas need

    target = httpx.URL(leader).copy_with(path=request.url.path, query=request.url.query.encode())
    certificate = request.app.state.context.certificate
    tls = certificate.current if certificate else None
    headers = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT, verify=tls.client if tls else True) as client:
            answer = await client.request(
                request.method,
                target,
                content=await request.body(),
                headers={**headers, PASSED_ON: address},
                extensions={"sni_hostname": tls.leader} if tls and tls.leader else {},
            )
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise not_now(f"the leader does not answer: {reason}; the request may still be processed", 5) from None
    kept = {name: answer.headers[name] for name in _RESPONSE_HEADERS if name in answer.headers}
    return Response(answer.content, answer.status_code, kept)
