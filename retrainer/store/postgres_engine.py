"""Connections to PostgreSQL: how they are made, and what is said on each before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.string import StrDumperUnknown
from sqlalchemy import create_engine, event, make_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

_DRIVER = "postgresql+psycopg"
# A server that does not answer is found out within ten seconds; what the URL says wins.
_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# A daemon that is frozen in mid-transaction must not keep others from taking over; nothing waits without an end.
_SESSION = (
    "SET TIME ZONE 'UTC'",
    "SET idle_in_transaction_session_timeout = '8s'",
    "SET lock_timeout = '5s'",
    "SET statement_timeout = '60s'",
)
POOL = 5


class _Text(StrDumperUnknown):
    """PostgreSQL has no NUL in texts, and one in an event must not stop the others: its picture is written instead."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\u2400") if "\0" in obj else obj)


def place(url: str) -> str:
    """Host, port and database of a URL: never its user, nor what else it may hold."""
    parsed = make_url(url)
    hosts = parsed.query.get("host") or parsed.host or "localhost"
    host = hosts if isinstance(hosts, str) else ",".join(hosts)
    return f"{host}{f':{parsed.port}' if parsed.port else ''}/{parsed.database or ''}"


def make_engine(url: str, password: Callable[[], str] | None, session: str) -> Engine:
    """``password`` is asked for each connection, so that it can be rotated."""
    parsed = make_url(url).set(drivername=_DRIVER)
    engine = create_engine(
        parsed,
        pool_size=POOL,
        max_overflow=POOL,
        pool_timeout=5,
        connect_args={name: value for name, value in _CONNECT.items() if name not in parsed.query},
        hide_parameters=True,
    )

    @event.listens_for(engine, "do_connect")
    def _connecting(_dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
        parameters["application_name"] = session
        if password is not None:
            parameters["password"] = password()

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.adapters.register_dumper(str, _Text)
        for said in _SESSION:
            connection.execute(said)
        connection.commit()

    return engine
