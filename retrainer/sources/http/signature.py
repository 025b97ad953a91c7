"""PURE: proof that a request comes from someone who holds a secret. All comparisons take constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TIMESTAMPED = "x-retrainer-signature"
PLAIN = "x-hub-signature-256"
_TIMESTAMP = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)


class Unproven(Exception):
    """The request carries no valid proof; the message says what is missing, never what would have been right."""


def check_token(headers: Mapping[str, str], secrets: Iterable[str]) -> None:
    """Check `Authorization: Bearer …` against any of the secrets; raise Unproven."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unproven("a bearer token is needed: Authorization: Bearer …")
    if not _any_equal([token.strip()], secrets):
        raise Unproven("the bearer token is not valid")


def check_signature(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float, tolerance: float
) -> str | None:
    """Check the HMAC-SHA256 over the raw body; raise Unproven.

    Return what identifies the signed request, so that a replay can be told from a new one, or None for a signature
    without a timestamp, with which it cannot. ``now`` and ``tolerance`` are in seconds.
    """
    if TIMESTAMPED in headers:
        return _check_timestamped(headers[TIMESTAMPED], body, secrets, now, tolerance)
    if PLAIN not in headers:
        raise Unproven(f"a signature is needed: {TIMESTAMPED}: t=<seconds>,v1=<hex>, or {PLAIN}: sha256=<hex>")
    sent = headers[PLAIN].strip().removeprefix("sha256=")
    if not _any_equal([sent], _macs(secrets, body)):
        raise Unproven("the signature does not match the body")
    return None


def _check_timestamped(header: str, body: bytes, secrets: Iterable[str], now: float, tolerance: float) -> str:
    pairs = [part.strip().partition("=") for part in header.split(",")]
    timestamp = next((value for name, _, value in pairs if name == "t"), "")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Unproven("the signature has no timestamp: t=<seconds since the epoch>")
    signed = timestamp.encode() + b"." + body
    expected = _macs(secrets, signed)
    if not _any_equal([value for name, _, value in pairs if name == "v1"], expected):
        raise Unproven("the signature does not match timestamp and body")
    if abs(now - float(timestamp)) > tolerance:
        raise Unproven(f"the signature's timestamp is more than {tolerance:g} s from now (timestamp_tolerance)")
    return "signed:" + hashlib.sha256(signed).hexdigest()


def sign(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def _macs(secrets: Iterable[str], message: bytes) -> list[str]:
    """Anybody can sign with an empty secret, so that one proves nothing."""
    return [sign(secret, message) for secret in secrets if secret]


def _any_equal(sent: Iterable[str], expected: Iterable[str]) -> bool:
    """Every pair is compared, so that the time says nothing about which one was closest."""
    wanted = [value.encode() for value in expected if value]
    # A list, not a generator, for that reason.
    return any([hmac.compare_digest(s.encode(), w) for s in sent for w in wanted])  # noqa: C419
