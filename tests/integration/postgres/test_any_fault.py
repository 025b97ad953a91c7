"""Faults in any place of one rule, on both stores side by side: both reach the same state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis.stateful import run_state_machine_as_test

from retrainer.store.postgres import PostgresStore
from retrainer.store.sqlite import SqliteStore
from tests.unit.engine.any_fault import AnyFault
from tests.unit.engine.every_place import emitted, stories, wired
from tests.unit.engine.test_any_fault import MANY, SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.postgres.server import Postgres


class Copies:
    """A database for each folder, copied from one with the newest schema.

    When it is opened again, it is in the state that a process left that died one lease duration ago.
    """

    def __init__(self, postgres: Postgres, template: str) -> None:
        self.postgres, self.template = postgres, template
        self._databases: dict[Path, str] = {}
        PostgresStore.open(postgres.url(template)).close()

    def build(self, path: Path) -> PostgresStore:
        known = self._databases.get(path)
        if known is None:
            known = self._databases[path] = self.postgres.database(self.template)
        else:
            with self.postgres.connect(known) as admin:
                admin.execute("UPDATE leader SET lease_until = least(lease_until, 1)")
        return PostgresStore.open(self.postgres.url(known))


@pytest.fixture
def machine(postgres: Postgres, database: str) -> type[AnyFault]:
    copies = Copies(postgres, database)

    class OnBothStores(AnyFault):
        builds: ClassVar[Any] = {"sqlite": SqliteStore.open, "postgres": copies.build}

    return OnBothStores


def test_whatever_one_rule_raises_both_stores_tell_the_same_of_its_neighbours(machine: type[AnyFault]) -> None:
    with wired():
        run_state_machine_as_test(machine, settings=SETTINGS)


def test_wherever_one_rule_raises_both_stores_tell_the_same_of_its_neighbours(machine: type[AnyFault]) -> None:
    with wired():
        for fault, drawn in stories(1 if MANY else 19):
            emitted(machine(), fault, drawn)
