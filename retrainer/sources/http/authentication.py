"""Checks the token or signature of a request, and what a signature was used for before."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from retrainer.event import Event
from retrainer.sources.http.refusal import Challenge, Refusal, not_now
from retrainer.sources.http.signature import (
    SignatureTerms,
    Signed,
    SignedRequest,
    Unproven,
    check_signature,
    check_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.config.models import Secret
    from retrainer.sources.formats.registry import Items
    from retrainer.sources.http.hook import Hook
    from retrainer.util.clock import Clock

log = structlog.get_logger()
SNS = "x-amz-sns-message-type"
"""SNS sets it on each request. It sends the user and password of its endpoint's URL only after a challenge."""
MOST_SEEN = 65536
"""Remembered signatures, over all sources; beyond that the oldest is forgotten. About 20 MB."""

_USED = {
    "v1": "this signature was used before, for another source or with other headers, which v1 does not cover: use v2",
    "hub": "this signature was used before, for another source with the same secret: give each its own secret",
}


class Proofs:
    """``secrets`` returns the current text of a secret; it raises OSError or ValueError if it cannot."""

    def __init__(self, clock: Clock, secrets: Callable[[Secret], str]) -> None:
        self._clock, self._secrets = clock, secrets
        self._uses: OrderedDict[bytes, bytes] = OrderedDict()
        self._warned: set[str] = set()

    def check_token(self, hook: Hook, headers: Mapping[str, str]) -> None:
        """Return if the token is right or none is configured. Raise Refusal 401 or 503."""
        if hook.config.token is None:
            return
        if SNS in headers and "authorization" not in headers:
            raise Challenge("send the token as the password of Basic: https://user:TOKEN@… as the endpoint of SNS")
        try:
            check_token(headers, self._read(hook, hook.config.token))
        except Unproven as error:
            raise Refusal(401, str(error), {"WWW-Authenticate": "Bearer"}) from None

    def check_signature(self, hook: Hook, headers: Mapping[str, str], body: bytes) -> Signed | None:
        """Return None if the source requires no signature. Raise Refusal 401 or 503."""
        if hook.config.hmac is None:
            return None
        # The machine's current clock: senders use theirs, also after a clock was corrected.
        terms = SignatureTerms(self._clock.wall(), hook.config.timestamp_tolerance, hook.config.signatures)
        try:
            sent = SignedRequest(headers, body, hook.config.path.rstrip("/"))
            signed = check_signature(sent, self._read(hook, hook.config.hmac), terms)
        except Unproven as error:
            raise Refusal(401, str(error), {"WWW-Authenticate": "Signature"}) from None
        if signed.scheme != "v2" and hook.name not in self._warned:
            self._warned.add(hook.name)
            log.info(
                "webhook.old_signature",
                source=hook.name,
                scheme=signed.scheme,
                better="v2 (docs/how-to/sources/signing.md)",
            )
        return signed

    def check_use(self, hook: Hook, signed: Signed | None, items: Items) -> None:
        """Raise Refusal 401 for a signature that was used before with other content that it does not cover.

        Version 2 covers everything. Version 1 is bound to its first use: the source and the resulting events. A
        signature of the body alone is valid for any number of equal bodies, so it is bound to the source only.
        """
        if signed is None or signed.scheme == "v2":
            return
        use = _digest(hook.name, *(_essence(item) for item in items if signed.scheme == "v1"))
        first = self._uses.setdefault(_digest(signed.scheme, signed.mac), use)
        if len(self._uses) > MOST_SEEN:
            self._uses.popitem(last=False)
        if first != use:
            raise Refusal(401, _USED[signed.scheme], {"WWW-Authenticate": "Signature"})

    def _read(self, hook: Hook, secrets: Secret | list[Secret]) -> list[str]:
        """Return the secrets that can be read. While one of two is being rotated, the other still works."""
        found = []
        for secret in secrets if isinstance(secrets, list) else [secrets]:
            try:
                found.append(self._secrets(secret))
            except (OSError, ValueError) as error:
                log.error("webhook.secret_unreadable", source=hook.name, error=str(error))  # noqa: TRY400
        if not any(found):  # an empty secret proves nothing
            raise not_now("the secret of this source cannot be read", 30)
        return found


def _essence(item: object) -> str:
    """Return what headers may have contributed to an event."""
    if isinstance(item, Event):
        return repr((item.id, item.type, item.subject, sorted(item.attributes.items())))
    return repr(getattr(item, "id", ""))


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()[:16]
