"""The record of the last backup, and what its age is counted from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.rules.state import State, encode
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.last_backup import known_since, last_backup, note_backup
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = SqliteStore.in_memory()
    yield opened
    opened.close()


def note(store: SqliteStore, at: float) -> None:
    with store.write() as conn:
        note_backup(conn, at, 5, f"at {at:g}")


def test_the_last_is_the_one_with_the_latest_content(store: SqliteStore) -> None:
    assert store.read(last_backup) is None
    for at in (100.0, 40.0):
        note(store, at)
        assert store.read(last_backup) == {"at": 100.0, "bytes": 5, "place": "at 100"}, "an older one changes nothing"
    note(store, 130.0)
    assert store.read(known_since) == 130.0


def test_without_a_backup_its_age_is_that_of_the_first_state(store: SqliteStore) -> None:
    assert store.read(known_since) is None, "there is nothing to lose yet"
    with store.write() as conn:
        rows = [
            {
                "id": n,
                "rule": "r",
                "key": str(n),
                "revision": "",
                "version": 1,
                "touched_at": 0.0,
                "state": encode(State(seen_at=50.0 + n)),
            }
            for n in (1, 2)
        ]
        statements.put_all(conn, t.states, rows)
    assert store.read(known_since) == 51.0
    note(store, 60.0)
    assert store.read(known_since) == 60.0
