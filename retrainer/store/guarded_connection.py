"""A line to PostgreSQL on which nothing is awaited for ever.

A server that is frozen, and a route that swallows what it is given, leave a connection that looks sound: TCP has
nothing to complain of, and libpq waits. So whoever waits counts for how long nothing came, and hangs up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from psycopg import Connection, OperationalError

if TYPE_CHECKING:
    from psycopg.abc import PQGen

RV = TypeVar("RV")

_BEAT = 0.1
"""Seconds after which a wait looks up."""


class SilenceError(OperationalError):
    """Nothing came for too long, and the line was given up."""


SHORT = 3.0
"""Seconds to wait for a server that was silent the last time, and for any once the daemon is about to end."""


@dataclass(slots=True)
class ServerHealth:
    """Shared by all lines to a server: whether the last that was waited for on any of them never came."""

    lost: bool = False


@dataclass(slots=True)
class ReadTimeout:
    """How long the lines that share it wait for the next word, in seconds; for ever while that is None."""

    health: ServerHealth
    seconds: float | None = None

    def is_over(self, waited: float) -> bool:
        if self.seconds is None:
            return False
        return waited >= (min(self.seconds, SHORT) if self.health.lost else self.seconds)


class GuardedConnection(Connection[tuple[Any, ...]]):
    """Raise SilenceError, closed, where the server says nothing for longer than there is patience."""

    read_timeout = ReadTimeout(ServerHealth())

    def wait(self, gen: PQGen[RV], *_args: Any, **_more: Any) -> RV:
        return super().wait(self._watched(gen), _BEAT)

    def _watched(self, gen: PQGen[RV]) -> PQGen[RV]:
        """Counts beats instead of asking a clock: a process that was frozen itself has not waited meanwhile."""
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
