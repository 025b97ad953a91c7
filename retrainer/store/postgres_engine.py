"""Connections to PostgreSQL: how they are made, and what is said on each before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.string import StrDumperUnknown
from sqlalchemy import create_engine, event, make_url

from retrainer.store.guarded_connection import SHORT, GuardedConnection, ReadTimeout, ServerHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

_DRIVER = "postgresql+psycopg"
# A server that cannot be reached is found out within ten seconds; what the URL says wins.
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
)
_MARGIN = 2.0
"""Seconds beyond the server's own limit in which it would say that it has reached it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Lines of a kind: how many are kept and how many more there may be, and how long a statement may take, in s."""

    kept: int
    more: int
    statement: float


WRITES = Kind(kept=2, more=2, statement=8)
"""A statement of the leader's that takes as long as the lease costs it the lead."""
READS = Kind(kept=3, more=3, statement=30)
"""On lines of their own: however many read, whoever has the lead can say so."""


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


class GuardedConnections:
    """The lines of one kind. They wait for ever until `limit` is called: a migration takes its time.

    ``password`` is asked for each of them, so that it can be rotated.
    """

    def __init__(
        self, url: str, password: Callable[[], str] | None, session: str, kind: Kind, health: ServerHealth
    ) -> None:
        self._kind, self._read_timeout = kind, ReadTimeout(health)
        parsed = make_url(url).set(drivername=_DRIVER)
        self.engine = create_engine(
            parsed,
            pool_size=kind.kept,
            max_overflow=kind.more,
            pool_timeout=5,
            connect_args={name: value for name, value in _CONNECT.items() if name not in parsed.query},
            hide_parameters=True,
        )
        self._listen(self.engine, password, session)

    def limit(self) -> None:
        """From here on a server that says nothing is given up."""
        self._read_timeout.seconds = self._kind.statement + _MARGIN

    def hurry(self) -> None:
        self._read_timeout.seconds = SHORT

    def _listen(self, engine: Engine, password: Callable[[], str] | None, session: str) -> None:
        @event.listens_for(engine, "do_connect")
        def _connecting(
            _dialect: Any, _record: Any, args: tuple[Any, ...], parameters: dict[str, Any]
        ) -> GuardedConnection:
            own = {"application_name": session}
            if password is not None:
                own["password"] = password()
            line = GuardedConnection.connect(*args, **{**parameters, **own})
            line.read_timeout = self._read_timeout
            return line

        @event.listens_for(engine, "connect")
        def _connected(connection: Any, _record: Any) -> None:
            connection.adapters.register_dumper(str, _Text)
            for said in (*_SESSION, f"SET statement_timeout = '{self._kind.statement:g}s'"):
                connection.execute(said)
            connection.commit()
