"""Sessions of the page: a token is sent once, and a cookie stands for it from then on.

The cookie names the token and the time, signed with the token itself (HMAC-SHA256, RFC 2104). So every replica can
check it, nothing is stored, and a rotated token ends the sessions that it began.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTH = 12 * 3600.0
"""Seconds that a session lasts."""
_SKEW = 60.0
"""Seconds by which the clock of the replica that began the session may be ahead."""
_VALUE = re.compile(r"(?P<token>[A-Za-z0-9_.-]{1,100})~(?P<begun>\d{1,12})~(?P<signature>[A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie claims: the name of a token, and when the session began (epoch seconds)."""

    token: str
    begun: int
    signature: str

    def holds(self, digest: bytes, now: float) -> bool:
        """Whether it was signed with the token of this digest, and has not ended."""
        expected = _signature(digest, self.token, self.begun)
        return -_SKEW <= now - self.begun < LENGTH and hmac.compare_digest(self.signature, expected)


def cookie_name(instance: str) -> str:
    """Return the cookie's name. Ports do not separate cookies, so that of each instance has a name of its own."""
    return "retrainer_" + re.sub(r"[^A-Za-z0-9]", "_", instance)


def begin(token: str, digest: bytes, now: float) -> str:
    """Return the value of the cookie of a new session."""
    return f"{token}~{int(now)}~{_signature(digest, token, int(now))}"


def claimed(cookies: Mapping[str, str], instance: str) -> Session | None:
    """Return what the cookie claims; None if there is none that could be one of ours."""
    found = _VALUE.fullmatch(cookies.get(cookie_name(instance), ""))
    return None if found is None else Session(found["token"], int(found["begun"]), found["signature"])


def _signature(digest: bytes, token: str, begun: int) -> str:
    message = f"retrainer session 1\n{token}\n{begun}".encode()
    return urlsafe_b64encode(hmac.digest(digest, message, "sha256")).rstrip(b"=").decode()
