"""The contract suite of tests/contract for stores, on a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.store.postgres import PostgresStore
from tests.contract import test_store as suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrainer.store.base import Store
    from tests.integration.postgres.server import Postgres

globals().update(
    {
        name: test
        for name, test in vars(suite).items()
        if name.startswith("test_") and not name.startswith("test_sqlite")
    }
)


@pytest.fixture
def reopen(postgres: Postgres, database: str) -> Iterator[Callable[[], Store]]:
    opened: list[PostgresStore] = []

    def close() -> None:
        while opened:
            store = opened.pop()
            store.release()
            store.close()

    def build() -> Store:
        close()
        store = PostgresStore.open(postgres.url(database))
        opened.append(store)
        assert store.claim()
        return store

    yield build
    close()
