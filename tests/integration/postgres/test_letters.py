"""Previews of replays on a real PostgreSQL: as on SQLite, they leave nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.store.postgres import PostgresStore
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import START
from tests.unit.engine.test_letter_preview import check, rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres.server import Postgres


@pytest.fixture
def bench(postgres: Postgres, database: str, tmp_path: Path) -> Iterator[DrivenEngine]:
    url = postgres.url(database)
    made = DrivenEngine(tmp_path, rules("event.data.n > 0"), START, build=lambda _: PostgresStore.open(url))
    yield made
    made.close()


def test_a_preview_leaves_nothing_and_says_what_the_replay_does(bench: DrivenEngine) -> None:
    check(bench)
