"""PURE: the handshake by which CloudEvents senders check that a webhook wants their events.

CloudEvents HTTP webhook specification, section 4. It grants nothing: each event still needs the source's token or
signature.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from retrainer.sources.http.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

ORIGIN = "webhook-request-origin"
_RATE = "webhook-request-rate"
_NAME = re.compile(r"[A-Za-z0-9*]([A-Za-z0-9.*:/-]{0,253})", re.ASCII)


def answer(headers: Mapping[str, str]) -> Response:
    """Allow the requesting origin at any rate; overload is answered with 503. Raise Refusal 400."""
    origin = headers[ORIGIN].strip()
    if not _NAME.fullmatch(origin):
        raise Refusal(400, "WebHook-Request-Origin is a DNS name, such as eventgrid.azure.net")
    allowed = {"Allow": "POST, OPTIONS", "WebHook-Allowed-Origin": origin}
    return Response(status_code=200, headers=allowed | ({"WebHook-Allowed-Rate": "*"} if _RATE in headers else {}))
