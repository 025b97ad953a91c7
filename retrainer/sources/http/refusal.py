"""The response to a request of which nothing was stored, as RFC 9457 problem details."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from retrainer.telemetry.secrets import SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refusal(Exception):
    """``status``: the HTTP status. ``detail``: what to do about it. Nothing of the request was stored."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": SECRETS.mask(self.detail),
        }
        return JSONResponse(content, self.status, self.headers, media_type="application/problem+json")


class Challenge(Refusal):
    """401 for senders that send credentials only after a challenge. It is no failure, so it is not counted as one."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, detail, {"WWW-Authenticate": 'Basic realm="retrainer"'})


def not_now(detail: str, retry_after: float) -> Refusal:
    """Return a 503. ``retry_after`` is in seconds, rounded up because the header takes whole seconds only."""
    return Refusal(503, detail, {"Retry-After": str(max(1, math.ceil(retry_after)))})
