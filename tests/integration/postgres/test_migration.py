"""Schema migration while several replicas start, and while an older release still uses the schema."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select

from retrainer.store import migrate
from retrainer.store import tables as t
from retrainer.store.base import StoreError
from retrainer.store.postgres import PostgresStore
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.postgres.server import Postgres

COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name "
    "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
)
NEWER = (
    "DROP TABLE inbox",
    "DROP TABLE readers",
    "DROP TABLE activity",
    "DROP INDEX dead_letters_size, dead_letters_event, slots_at, slots_rule, runs_rule, runs_live",
    "ALTER TABLE dead_letters DROP COLUMN size",
    "ALTER TABLE objects DROP COLUMN notified_at",
    "ALTER TABLE runs RENAME COLUMN created_at TO born_at",
    "ALTER TABLE positions RENAME COLUMN partition TO part",
    "ALTER TABLE positions RENAME COLUMN topic_id TO incarnation",
    "ALTER TABLE fan_outs DROP COLUMN input",
)
"""The tables and columns that an older release does not have."""
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM leader FOR UPDATE'"
)


def test_replicas_that_start_together_migrate_once(postgres: Postgres, database: str) -> None:
    opened: list[PostgresStore] = []
    threads = [
        threading.Thread(target=lambda: opened.append(PostgresStore.open(postgres.url(database)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.claim() for store in opened].count(True) == 1
    assert len(opened) == 4
    for store in opened:
        store.release()
        store.close()


def test_what_an_older_release_made_is_kept_and_it_may_go_on(postgres: Postgres, database: str) -> None:
    """A new replica migrates the schema while an older one continues to write."""
    PostgresStore.open(postgres.url(database)).close()
    whole = postgres.query(database, COLUMNS)
    with postgres.connect(database) as older:
        for newer in NEWER:
            older.execute(newer)
        older.execute("UPDATE alembic_version SET version_num = '0003_0002'")
        older.execute("INSERT INTO meta VALUES ('old', '1')")
        store = PostgresStore.open(postgres.url(database))
        older.execute("INSERT INTO meta VALUES ('while', '1')")
    assert postgres.query(database, COLUMNS) == whole
    assert store.claim()
    with store.write() as new:
        new.execute(insert(t.meta).values(name="new", value="1"))
    assert store.read(lambda conn: set(conn.execute(select(t.meta.c.name)).scalars())) == {"old", "while", "new"}
    store.release()
    store.close()


def test_a_migration_waits_for_writers_and_they_for_it(postgres: Postgres, database: str) -> None:
    """Writers first lock what the migration locks first, so neither runs in the middle of the other."""
    PostgresStore.open(postgres.url(database)).close()
    with postgres.connect(database) as older:
        for newer in NEWER:
            older.execute(newer)
        older.execute("UPDATE alembic_version SET version_num = '0003_0002'")
    with postgres.connect(database) as writer:
        opened: list[PostgresStore] = []
        migrating = threading.Thread(target=lambda: opened.append(PostgresStore.open(postgres.url(database))))
        with writer.transaction():
            writer.execute("UPDATE leader SET mark = mark")
            migrating.start()
            until(lambda: postgres.query(database, WAITING) == [(1,)], "it waits")
            assert postgres.query(database, "SELECT version_num FROM alembic_version") == [("0003_0002",)]
        migrating.join()
    assert postgres.query(database, "SELECT version_num FROM alembic_version") == [(migrate.HEAD,)]
    opened[0].close()


@pytest.mark.parametrize(("written", "taken"), [("9999_0003", True), ("9999_9998", False), ("9999", False)])
def test_a_newer_schema_is_taken_if_it_can_be(postgres: Postgres, database: str, written: str, taken: bool) -> None:
    PostgresStore.open(postgres.url(database)).close()
    with postgres.connect(database) as admin:
        admin.execute("ALTER TABLE alembic_version ALTER version_num TYPE varchar")
        admin.execute("UPDATE alembic_version SET version_num = %s", [written])
    if taken:
        PostgresStore.open(postgres.url(database)).close()
        return
    with pytest.raises(StoreError, match=f"/{database}: written by a newer release"):
        PostgresStore.open(postgres.url(database))


def test_a_password_never_shows(postgres: Postgres, database: str) -> None:
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        PostgresStore.open(postgres.url(database), lambda: "c4nary-wrong")
    assert "c4nary" not in str(caught.value)
