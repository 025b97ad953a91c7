"""Checks of Prometheus sources that their model cannot express."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.models import PrometheusSource

ENDPOINT = "/api/v1/query"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
_OURS = frozenset({"content-type", "content-length", "host", "transfer-encoding", "accept-encoding"})


def check_prometheus(source: PrometheusSource) -> Iterator[Violation]:
    yield from _url(source.url)
    if source.basic is not None and source.token is not None:
        yield Violation(("token",), "a password and a token exclude each other", "keep one", of_key=True)
    yield from _headers(source.headers)


def _url(url: str) -> Iterator[Violation]:
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        yield Violation(
            ("url",), f"{'this' if '@' in url else repr(url)} is not an address", "write such as http://prometheus:9090"
        )
    elif parts.username is not None or parts.password is not None:
        yield Violation(
            ("url",), "credentials are not allowed in the URL, because it is shown", "use `basic:` or `token:`"
        )
    elif parts.query or parts.fragment or parts.path.rstrip("/").endswith(ENDPOINT):
        yield Violation(("url",), f"the URL must end before {ENDPOINT}", "remove the rest")


def _headers(headers: Mapping[str, str]) -> Iterator[Violation]:
    for name, value in headers.items():
        path = ("headers", name)
        if name.lower() in _SECRET:
            yield Violation(
                path, f"`{name}` is a secret, and headers are shown", "use `token:` or `basic:`", of_key=True
            )
        elif name.lower() in _OURS:
            yield Violation(path, f"`{name}` is reserved", "remove the line", of_key=True)
        elif not _NAME.fullmatch(name):
            yield Violation(path, f"`{name}` is not a valid header name", "letters, digits and `-`", of_key=True)
        elif not _VALUE.fullmatch(value):
            yield Violation(
                path, f"{value!r} is not a valid header value", "printable ASCII without spaces at either end"
            )
