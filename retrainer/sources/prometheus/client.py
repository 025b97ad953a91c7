"""Sends instant queries over HTTP, each bounded in time and size."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import httpx

from retrainer.sources.prometheus.answer import Answer, NoAnswer, read
from retrainer.sources.responses import ASKED_FOR, TooLargeError, read_body
from retrainer.sources.tls import ssl_context
from retrainer.telemetry.secrets import SECRETS, reveal

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from retrainer.config.models import PrometheusSource
    from retrainer.util.clock import Clock

LEAST = 1 << 20
BYTES_A_SERIES = 4096
"""Bytes of a response: so many for each allowed series, and at least `LEAST`."""


class PrometheusUnreachable(NoAnswer):
    """The server cannot be reached; the other expressions need not be tried."""


class PrometheusClient:
    """A client for one poll: it reads certificates and secrets anew, so that they can be rotated."""

    def __init__(self, config: PrometheusSource, base_folder: Path, clock: Clock) -> None:
        """Raise Unreachable if a file or a secret cannot be read."""
        self._config, self._clock = config, clock
        self._url = config.url.rstrip("/") + "/api/v1/query"
        self._largest = max(LEAST, config.max_series * BYTES_A_SERIES)
        self._client = connect(config, base_folder)

    def close(self) -> None:
        self._client.close()

    def ask(self, expr: str, at: float) -> Answer:
        """Evaluate ``expr`` at ``at`` (seconds since the epoch). Raise NoAnswer."""
        allowed = self._config.timeout
        form = {"query": expr, "time": f"{at:.3f}", "timeout": f"{max(1, int(allowed * 1000))}ms"}
        try:
            status, body = self._post(form, self._clock.monotonic() + allowed)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise PrometheusUnreachable(f"it cannot be reached: {_words(error)}") from None
        except (httpx.TimeoutException, TimeoutError):
            raise NoAnswer(f"no answer within {allowed:g}s (timeout)") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NoAnswer(f"incomplete answer: {_words(error)}") from None
        return read(status, body, self._config.max_series)

    def _post(self, form: dict[str, str], until: float) -> tuple[int, bytes]:
        """The client's own timeout is per step; ``until`` also ends a body that arrives slowly."""
        with self._client.stream("POST", self._url, data=form) as answer:
            try:
                return answer.status_code, read_body(answer, self._largest, lambda: self._clock.monotonic() <= until)
            except TooLargeError:
                raise NoAnswer(f"an answer of more than {self._largest} bytes, too much for max_series") from None


def connect(config: PrometheusSource, base_folder: Path) -> httpx.Client:
    """Return a client with the source's certificates and secrets. Raise Unreachable if one cannot be read."""
    try:
        verify = ssl_context(config.tls, base_folder) if config.tls is not None else _usual_authorities()
        basic = (config.basic.username, reveal(config.basic.password)) if config.basic is not None else None
        return httpx.Client(verify=verify, timeout=config.timeout, headers=_headers(config), auth=basic)
    except (OSError, ValueError) as error:
        raise PrometheusUnreachable(f"it cannot be queried: {error}") from None


def _headers(config: PrometheusSource) -> dict[str, str]:
    proof = {"Authorization": f"Bearer {reveal(config.token)}"} if config.token else {}
    return {**config.headers, "Accept": "application/json", **ASKED_FOR, **proof}


@functools.cache
def _usual_authorities() -> ssl.SSLContext:
    """Cached: reading them takes longer than most polls."""
    return httpx.create_ssl_context()


def _words(error: Exception) -> str:
    return f"{SECRETS.mask(str(error)):.200}" or type(error).__name__
