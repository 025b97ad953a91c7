"""Tokens for OAUTHBEARER, by the client credentials grant of RFC 6749."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING

import httpx
from kafka.net.sasl.oauth import AbstractTokenProvider

from retrainer.telemetry.secrets import SECRETS, reveal

if TYPE_CHECKING:
    from retrainer.config.models import OAuth

TIMEOUT = 5.0
EARLY = 0.8
"""Fraction of its lifetime after which a token is replaced."""
SHORT_LIFE = 60.0
"""Seconds for which a token is used if its issuer does not state a lifetime."""


class TokenRefused(Exception):
    """No token was issued. The message has the issuer's response, without secrets."""


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Caches one token, and requests the next before it expires. The consumer calls it when it connects."""

    def __init__(self, settings: OAuth) -> None:
        super().__init__()
        self._settings = settings
        self._token = ""
        self._until = 0.0
        self._lock = Lock()

    def token(self) -> str:
        """Return a valid token. Raise TokenRefused."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._token, life = self._ask()
                self._until = time.monotonic() + life * EARLY
            return self._token

    def _ask(self) -> tuple[str, float]:
        settings = self._settings
        form = {"grant_type": "client_credentials"} | ({"scope": settings.scope} if settings.scope else {})
        who = (settings.client_id, reveal(settings.client_secret))
        try:
            answer = httpx.post(settings.token_endpoint, data=form, auth=who, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            raise TokenRefused(f"no token from {settings.token_endpoint}: {SECRETS.mask(str(error))}") from None
        if answer.status_code != httpx.codes.OK:
            raise TokenRefused(f"no token from {settings.token_endpoint}: it answers {answer.status_code}")
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> tuple[str, float]:
        try:
            content = answer.json()
            token, life = content["access_token"], float(content.get("expires_in", SHORT_LIFE))
        except (ValueError, TypeError, KeyError, AttributeError):
            token, life = None, 0.0
        if not isinstance(token, str) or not token:
            raise TokenRefused(f"no token from {self._settings.token_endpoint}: its answer has no access_token")
        SECRETS.hide_passing(token)
        return token, life
