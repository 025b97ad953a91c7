"""Check the address of the store: it can be parsed, and contains no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.settings import Store

_SCHEMES = ("postgresql+psycopg", "postgresql")
_SECRET = ("password", "sslpassword")
_URL = ("store", "url")


def check_store(store: Store) -> Iterator[Violation]:
    """Check the store. No message repeats the address: if it contains a password, that must not get into a log."""
    if store.url is None:
        if store.password is not None:
            yield Violation(
                ("store", "password"), "a SQLite file has no password", "remove it, or add `url`", of_key=True
            )
        return
    try:
        url = urlsplit(store.url)
        port_and_host = (url.hostname, url.port)
    except ValueError:
        yield Violation(_URL, "this cannot be read as a URL", "write postgresql+psycopg://user@host:5432/database")
        return
    if url.scheme not in _SCHEMES:
        yield Violation(
            _URL,
            "the store is a SQLite file (`path`) or a PostgreSQL database",
            "write postgresql+psycopg://user@host:5432/database",
        )
    elif not url.path.strip("/") or not (port_and_host[0] or "host=" in url.query):
        yield Violation(_URL, "host or database is missing", "write postgresql+psycopg://user@host:5432/database")
    if url.password is not None or any(name in _SECRET for name, _ in parse_qsl(url.query)):
        yield Violation(
            _URL,
            "a URL is shown in errors and lists, and this one holds a password",
            "remove it, and add `password: {from_env: NAME}` or `{from_file: PATH}` to `store`",
        )
