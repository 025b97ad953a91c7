"""Connections to PostgreSQL: connection parameters, and the session settings of each."""

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
# Detect an unreachable server within ten seconds. Parameters in the URL take precedence.
CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# A daemon that freezes in a transaction must not block a takeover, and every wait has a limit.
_SESSION = (
    "SET TIME ZONE 'UTC'",
    "SET idle_in_transaction_session_timeout = '8s'",
    "SET lock_timeout = '5s'",
)
_MARGIN = 2.0
"""Seconds that the server has, after its own limit, to report that the limit was reached."""


@dataclass(frozen=True, slots=True)
class EngineKind:
    """A kind of connections: pool size, maximum overflow, and statement timeout in seconds."""

    kept: int
    more: int
    statement: float


WRITES = EngineKind(kept=2, more=2, statement=8)
"""The timeout is shorter than the lease: a leader whose statement takes as long as that loses the leadership."""
READS = EngineKind(kept=3, more=3, statement=30)
"""Reads have separate connections, so that any number of them cannot prevent the leader from renewing its lease."""


class _Text(StrDumperUnknown):
    """Replace NUL, which PostgreSQL texts cannot hold, by U+2400, so that an event with NUL does not block others."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\u2400") if "\0" in obj else obj)


def place(url: str) -> str:
    """Return host, port and database of a URL, without its user and other content."""
    parsed = make_url(url)
    hosts = parsed.query.get("host") or parsed.host or "localhost"
    host = hosts if isinstance(hosts, str) else ",".join(hosts)
    return f"{host}{f':{parsed.port}' if parsed.port else ''}/{parsed.database or ''}"


class GuardedConnections:
    """The connections of one kind. They wait without a limit until `limit` is called, because a migration may be slow.

    ``password`` is called for each new connection, so that the password can be rotated.
    """

    def __init__(
        self, url: str, password: Callable[[], str] | None, session: str, kind: EngineKind, health: ServerHealth
    ) -> None:
        self._kind, self._read_timeout = kind, ReadTimeout(health)
        parsed = make_url(url).set(drivername=_DRIVER)
        self.engine = create_engine(
            parsed,
            pool_size=kind.kept,
            max_overflow=kind.more,
            pool_timeout=5,
            connect_args={name: value for name, value in CONNECT.items() if name not in parsed.query},
            hide_parameters=True,
        )
        self._listen(self.engine, password, session)

    def limit(self) -> None:
        """Set the read timeout, from now on."""
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
            for statement in (*_SESSION, f"SET statement_timeout = '{self._kind.statement:g}s'"):
                connection.execute(statement)
            connection.commit()
