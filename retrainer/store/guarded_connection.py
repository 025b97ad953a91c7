"""A connection to PostgreSQL with a read timeout.

With a frozen server, or a route that drops packets, a connection can look intact: TCP reports no error, and libpq waits
forever. This connection measures how long no answer has arrived, and closes itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from psycopg import Connection, OperationalError

if TYPE_CHECKING:
    from psycopg.abc import PQGen

RV = TypeVar("RV")

_BEAT = 0.1
"""Seconds between two checks of a wait."""


class SilenceError(OperationalError):
    """The read timeout expired, and the connection was closed."""


SHORT = 3.0
"""Timeout in seconds for a server that did not answer the last time, and for any server at shutdown."""


@dataclass(slots=True)
class ServerHealth:
    """Shared by all connections to a server. ``lost``: the last wait on any of them ended with a timeout."""

    lost: bool = False


@dataclass(slots=True)
class ReadTimeout:
    """The read timeout in seconds of the connections that share it; None for no timeout."""

    health: ServerHealth
    seconds: float | None = None

    def is_over(self, waited: float) -> bool:
        if self.seconds is None:
            return False
        return waited >= (min(self.seconds, SHORT) if self.health.lost else self.seconds)


class GuardedConnection(Connection[tuple[Any, ...]]):
    """Closes itself and raises SilenceError if the server does not answer within the read timeout."""

    read_timeout = ReadTimeout(ServerHealth())

    def wait(self, gen: PQGen[RV], *_args: Any, **_more: Any) -> RV:
        return super().wait(self._watched(gen), _BEAT)

    def _watched(self, gen: PQGen[RV]) -> PQGen[RV]:
        """Count intervals instead of reading a clock: time during which this process was frozen does not count."""
        quiet = 0
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                quiet = 0 if ready else quiet + 1
                if quiet and self.read_timeout.is_over(quiet * _BEAT):
                    gen.close()
                    self._hang_up(quiet * _BEAT)
                wanted = gen.send(ready)
        except StopIteration as end:
            self.read_timeout.health.lost = False
            answer: RV = end.value
            return answer

    def _hang_up(self, waited: float) -> NoReturn:
        self.read_timeout.health.lost = True
        self.close()
        raise SilenceError(f"the server has not answered for {waited:.0f} s")
