"""The guarantees under any sequence of events, ticks and crashes, as on SQLite, and with connections cut at commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from retrainer.store.postgres import PostgresStore
from tests.unit.engine.test_machine import Promises
from tests.unit.engine.test_stream import Stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.postgres.proxy import Proxy
    from tests.integration.postgres.server import Postgres

CUTS: tuple[Literal["", "before", "after"], ...] = ("", "", "before", "", "", "after")
FEW = settings(
    max_examples=4,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


class Servers:
    """A database for each folder. A reopened one is as a process left it that died one lease duration ago."""

    def __init__(self, postgres: Postgres, proxy: Proxy) -> None:
        self.postgres, self.proxy = postgres, proxy
        self._databases: dict[Path, str] = {}

    def build(self, path: Path) -> PostgresStore:
        if path in self._databases:
            with self.postgres.connect(self._databases[path]) as admin:
                admin.execute("UPDATE leader SET lease_until = least(lease_until, 1)")
        else:
            self._databases[path] = self.postgres.database()
        return PostgresStore.open(self.postgres.url(self._databases[path], self.proxy.port))


@pytest.mark.parametrize("machine", [Promises, Stream])
def test_the_promises_hold_whatever_is_cut(postgres: Postgres, proxy: Proxy, machine: Any) -> None:
    servers = Servers(postgres, proxy)

    class Cut(machine):  # type: ignore[misc]
        build = staticmethod(servers.build)
        turns = 0

        def survive(self, crash: str, do: Any) -> Any:
            """Of the operations without a crash, every third commit is cut."""
            self.turns += not crash
            proxy.cut("" if crash else CUTS[self.turns % len(CUTS)])
            try:
                return super().survive(crash, do)
            finally:
                proxy.cut("")

    run_state_machine_as_test(Cut, settings=FEW)
    assert proxy.cuts > 0
