"""The contract of the store: one suite that every store passes. `open` makes a store in an empty folder."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select
from ulid import ULID

from retrainer.engine.commands import requests
from retrainer.engine.commands.activity import row_of
from retrainer.engine.core.notifications import ActRecorded
from retrainer.store import density, event_statements, queries, statements
from retrainer.store import tables as t
from retrainer.store.activity import ActivityQuery, activity
from retrainer.store.base import StoreBusyError, StoreError
from retrainer.store.density import CELL
from retrainer.store.pages import FIRST_PAGE, Page, PageRequest
from retrainer.store.scope import Scope
from retrainer.store.sqlite import SqliteStore
from tests.unit.api import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from retrainer.store.base import Store

SQLITE_COLUMNS = (
    'SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk '
    "FROM sqlite_master AS t, pragma_table_info(t.name) AS c "
    "UNION ALL SELECT name, tbl_name, '', 0, '', 0 FROM sqlite_master WHERE type = 'index' ORDER BY 1, 2"
)
STORES: dict[str, Callable[[Path], Store]] = {"sqlite": lambda folder: SqliteStore.open(folder / "store.db")}


@pytest.fixture(params=list(STORES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """A function that opens the store. Each further call closes it first, as a restart does."""
    opened: list[Store] = []

    def build() -> Store:
        while opened:
            opened.pop().close()
        opened.append(STORES[request.param](tmp_path))
        return opened[-1]

    yield build
    for store in opened:
        store.close()


def values(store: Store) -> dict[str, str]:
    return store.read(lambda conn: {row.name: row.value for row in conn.execute(select(t.meta))})


def put(store: Store, name: str, value: str = "v") -> None:
    with store.write() as conn:
        conn.execute(insert(t.meta).values(name=name, value=value))


def test_what_was_committed_is_there_after_a_restart(reopen: Callable[[], Store]) -> None:
    put(reopen(), "a")
    assert values(reopen()) == {"a": "v"}


@pytest.mark.parametrize("count", [0, 1, 9, 10, 199, 200, 437])
def test_any_number_of_rows_can_be_appended_at_once(reopen: Callable[[], Store], count: int) -> None:
    store = reopen()
    rows = [(n % 3, n) for n in range(count)]
    with store.write() as conn:
        statements.append_all(conn, t.inputs, rows)
    found = store.read(lambda conn: [tuple(row) for row in conn.execute(select(t.inputs).order_by(t.inputs.c.seq))])
    assert found == rows


def test_a_transaction_that_raises_leaves_nothing(reopen: Callable[[], Store]) -> None:
    store = reopen()
    put(store, "a")

    def fail() -> None:
        with store.write() as conn:
            conn.execute(insert(t.meta).values(name="b", value="v"))
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert values(store) == {"a": "v"}
    put(store, "b")
    assert values(store) == {"a": "v", "b": "v"}


def test_a_row_of_the_same_key_is_replaced_and_one_that_is_there_is_left(reopen: Callable[[], Store]) -> None:
    store = reopen()
    with store.write() as conn:
        statements.put_all(conn, t.meta, [{"name": "a", "value": "1"}, {"name": "b", "value": "1"}])
        statements.put_all(conn, t.meta, [{"name": "a", "value": "2"}])
        event_statements.meet_sources(conn, ["lake"], 1.0)
        event_statements.meet_sources(conn, ["lake"], 2.0)
        event_statements.source_seen(conn, "lake", 3.0)
    assert values(store) == {"a": "2", "b": "1"}
    assert store.read(lambda conn: conn.execute(select(t.sources)).one()) == ("lake", 1.0, 3.0)


def test_what_columns_hold_comes_back_as_it_was(reopen: Callable[[], Store]) -> None:
    """Columns keep values exactly: microseconds, integers beyond 32 bits, and bytes."""
    store = reopen()
    row = {"at": 1785542400.123457, "source": "lake", "event": "é☃", "reason": "raised", "error": "", "rule": ""}
    row["size"] = 256
    payload = bytes(range(256))
    position = {"source": "lake", "partition": "0", "next": 2**62, "owner_epoch": 1, "topic_id": ""}
    with store.write() as conn:
        statements.insert_all(conn, t.dead_letters, [{**row, "payload": payload}, {**row, "payload": b""}])
        statements.insert_all(conn, t.positions, [position])
    columns = [column for column in t.dead_letters.c if column.name != "id"]
    found = store.read(
        lambda conn: [row._asdict() for row in conn.execute(select(*columns).order_by(t.dead_letters.c.id))]
    )
    assert found == [{**row, "payload": payload}, {**row, "payload": b""}]
    assert store.read(lambda conn: conn.execute(select(t.positions.c.next)).scalar()) == 2**62


def test_keys_are_in_the_order_of_their_bytes(reopen: Callable[[], Store]) -> None:
    """Keys are sorted by their bytes: pagination continues after a key, and a prefix of their ids finds objects."""
    store = reopen()
    keys = ["B", "_", "a", "a b", "a-b", "aB", "ab", "é"]
    rows = [
        {"id": n, "rule": "r", "key": key, "revision": "", "version": 1, "state": "{}", "touched_at": 0.0}
        for n, key in enumerate(reversed(keys))
    ]
    with store.write() as conn:
        statements.insert_all(conn, t.states, rows)
    found: list[str] = []
    while page := store.read(partial(statements.keys_of, rule="r", after=found[-1] if found else "", limit=2)):
        found += page
    assert found == keys


def test_activity_is_listed_by_rule_caller_time_and_namespace(reopen: Callable[[], Store]) -> None:
    store = reopen()
    acts = [("churn", "fraud"), ("uplift", "growth"), ("", ""), ("churn", "fraud")]
    rows = [
        row_of(ActRecorded("pause", f"by-{n % 2}", rule=rule, namespace=namespace), 1000.0 + n)
        for n, (rule, namespace) in enumerate(acts)
    ]
    with store.write() as conn:
        statements.put_all(conn, t.activity, rows)
        statements.put_all(conn, t.activity, [{**rows[2], "count": 7}])  # a refusal is counted on

    def found(page: PageRequest = FIRST_PAGE, **filters: Any) -> list[float]:
        return [row["at"] - 1000 for row in store.read(lambda c: activity(c, ActivityQuery(**filters), page)).items]

    assert found() == [3, 2, 1, 0]
    assert found(rule="churn") == [3, 0]
    assert found(by="by-1") == [3, 1]
    assert found(rule="churn", by="by-1") == [3]
    assert found(PageRequest(since=1001.0, until=1003.0)) == [2, 1]
    assert found(PageRequest(rows[2]["id"], 1)) == [1]
    fraud = Scope(frozenset(("fraud",)), frozenset(("churn",)), frozenset())
    assert found(scope=fraud, reader="fraud") == [3, 0]
    assert found(scope=fraud, reader="by-0") == [3, 2, 0], "also what the reader did"
    assert store.read(lambda conn: conn.execute(select(t.activity.c.count)).scalars().all()).count(7) == 1


def test_events_are_counted_by_time_source_and_outcome(reopen: Callable[[], Store]) -> None:
    """A cell begins at a multiple of its length: the last moment before it belongs to the cell before."""
    store = reopen()
    at = [0.0, CELL - 0.001, CELL, CELL * 1.5, CELL * 2 - 0.001, CELL * 7.5]
    rows = [
        {"seq": n, "at": moment, "source": f"s{n % 2}", "id": str(n), "type": "t", "time": 0.0, "subject": ""}
        | {"data": "{}", "attributes": "{}", "outcome": "matched" if n < 5 else "ignored", "rules": "[]"}
        for n, moment in enumerate(at, 1)
    ]
    assert store.read(density.ends) is None
    with store.write() as conn:
        statements.insert_all(conn, t.events, rows)
    assert store.read(density.ends) == (1, 0.0, 6)
    assert sorted(store.read(partial(density.cells, first=1, last=6))) == [
        (0, "s0", "matched", 1),
        (0, "s1", "matched", 1),
        (1, "s0", "matched", 1),
        (1, "s1", "ignored", 1),
        (1, "s1", "matched", 1),
        (7, "s0", "ignored", 1),
    ]
    assert store.read(partial(density.cells, first=2, last=2)) == [(0, "s0", "matched", 1)]


def test_dead_letters_and_activity_have_filters(reopen: Callable[[], Store]) -> None:
    store = reopen()
    letter = {"at": 1.0, "source": "s", "event": "e", "reason": "raised", "error": "", "payload": b"", "size": 0}
    acts = [ActRecorded("pause", "a"), ActRecorded("resume", "a"), ActRecorded("pause", "a", result="refused")]
    with store.write() as conn:
        statements.insert_all(conn, t.dead_letters, [{**letter, "rule": rule} for rule in ("a", "b", "", "a")])
        statements.put_all(conn, t.activity, [row_of(act, 1000.0 + n) for n, act in enumerate(acts)])

    def found(**filters: Any) -> list[float]:
        return [row["at"] - 1000 for row in store.read(lambda c: activity(c, ActivityQuery(**filters))).items]

    assert [row["rule"] for row in store.read(partial(queries.dead_letters, rule="a")).items] == ["a", "a"]
    assert found(act="pause") == [2, 0]
    assert found(act="pause", result="done") == [0]


PERIODS: list[Any] = [
    pytest.param(partial(queries.events, matched=("churn", None)), "seq", id="events"),
    pytest.param(partial(queries.runs, rule="churn"), "attempt", id="runs"),
    pytest.param(partial(queries.decisions, rule="churn", key="de"), "id", id="decisions of a key"),
    pytest.param(partial(queries.decisions, decision="hold"), "id", id="decisions"),
    pytest.param(queries.dead_letters, "id", id="dead letters"),
    pytest.param(partial(queries.slots, rule="churn"), "count", id="slots"),
    pytest.param(partial(queries.states, rule="churn"), "id", id="keys"),
]


@pytest.mark.parametrize(("ask", "field"), PERIODS)
def test_a_period_of_a_list_is_the_same_on_every_store(
    reopen: Callable[[], Store], ask: Callable[..., Page], field: str
) -> None:
    store = reopen()
    moments = {n: ledger.NOW + 100 * n for n in range(1, 7)}
    ids = {n: str(ULID.from_timestamp(at)) for n, at in moments.items()}
    tables: dict[Any, list[dict[str, Any]]] = {
        t.events: [ledger.event(n, at=at) for n, at in moments.items()],
        t.runs: [ledger.run(n, id=ids[n], attempt=n, created_at=at) for n, at in moments.items()],
        t.decisions: [ledger.decision(n, first_at=at, last_at=at + 50) for n, at in moments.items()],
        t.dead_letters: [ledger.dead_letter(n, at=at) for n, at in moments.items()],
        t.slots: [ledger.slot(n, slot=at, count=n) for n, at in moments.items()],
        t.states: [ledger.state(n, f"k{n}", touched_at=at) for n, at in moments.items()],
    }
    with store.write() as conn:
        for table, rows in tables.items():
            conn.execute(insert(table), [ledger.encoded(row) for row in rows])

    def found(first: int | None, end: int | None) -> set[int]:
        page = PageRequest(since=moments[first] if first else None, until=moments[end] if end else None)
        return {row[field] for row in store.read(lambda conn: ask(conn, page=page)).items}

    assert found(None, None) == {1, 2, 3, 4, 5, 6}
    assert found(3, 5) == {3, 4}
    assert found(5, None) == {5, 6}
    assert found(None, 2) == {1}
    assert found(4, 4) == set()


def test_what_is_due_at_one_moment_comes_in_the_same_order_on_every_store(reopen: Callable[[], Store]) -> None:
    store = reopen()
    moments = {7: 5.0, 2: 5.0, 9: 1.0, 4: 5.0, 1: 6.0}
    rows = [
        {
            "id": n,
            "rule": f"r{n}",
            "key": "",
            "revision": "",
            "version": 1,
            "state": "{}",
            "wake_at": at,
            "touched_at": 0,
        }
        for n, at in moments.items()
    ]
    with store.write() as conn:
        statements.insert_all(conn, t.states, rows)
    due = store.read(lambda conn: statements.due_states(conn, 5.0, 10))
    assert due == [("r9", ""), ("r2", ""), ("r4", ""), ("r7", "")]


def test_a_nul_in_a_text_stops_nothing(reopen: Callable[[], Store]) -> None:
    store = reopen()
    put(store, "a", "x\0y")
    assert values(store)["a"] in ("x\0y", "x\u2400y")


def test_the_lead_is_whose_it_is(reopen: Callable[[], Store]) -> None:
    store = reopen()
    assert store.holder()
    store.renew("http://127.0.0.1:1")
    put(store, "a")


def test_its_size_is_said(reopen: Callable[[], Store]) -> None:
    assert reopen().size() > 0


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            lambda conn: conn.execute("UPDATE alembic_version SET version_num = '9999'"), id="a newer release wrote it"
        ),
    ],
)
def test_sqlite_refuses_a_newer_schema_and_touches_nothing(tmp_path: Path, spoil: Callable[[Any], Any]) -> None:
    path = tmp_path / "store.db"
    SqliteStore.open(path).close()
    with sqlite3.connect(path) as conn:
        spoil(conn)
    conn.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"store.db: written by a newer release \(schema 9999"):
        SqliteStore.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("written", "words"),
    [
        pytest.param("9999_0003", "", id="that keeps what this one needs"),
        pytest.param("9999_9998", r"newer release \(schema 9999, this one knows", id="that took something away"),
    ],
)
def test_sqlite_of_a_newer_release(tmp_path: Path, written: str, words: str) -> None:
    """While an upgrade runs both releases: the older one works as long as the schema allows it."""
    SqliteStore.open(tmp_path / "store.db").close()
    with sqlite3.connect(tmp_path / "store.db") as conn:
        conn.execute("UPDATE alembic_version SET version_num = ?", [written])
    conn.close()
    if words:
        with pytest.raises(StoreError, match=words):
            SqliteStore.open(tmp_path / "store.db")
        return
    store = SqliteStore.open(tmp_path / "store.db")
    put(store, "a")
    store.close()


def test_sqlite_refuses_a_file_that_is_no_database_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("dear diary")
    with pytest.raises(StoreError, match=r"store\.db: is not a SQLite database; name another file"):
        SqliteStore.open(path)
    assert path.read_text() == "dear diary"


def test_sqlite_refuses_a_corrupt_database_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore.open(path).close()
    content = bytearray(path.read_bytes())
    content[100:4000] = b"\xff" * 3900
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"store\.db: .*restore it from a backup"):
        SqliteStore.open(path)


def test_sqlite_belongs_to_one_process(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "store.db")
    with pytest.raises(StoreError, match="another process has it open; stop that daemon first"):
        SqliteStore.open(tmp_path / "store.db")
    store.close()
    SqliteStore.open(tmp_path / "store.db").close()


def test_sqlite_that_cannot_take_writes_for_the_moment_says_busy_and_goes_on(tmp_path: Path) -> None:
    """A lock held by another process, such as a backup tool, gives "busy". A full disk is handled in the same way."""
    store = SqliteStore.open(tmp_path / "store.db")
    store.read(lambda conn: None)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._connection.connection.driver_connection.execute("PRAGMA busy_timeout=50")  # type: ignore[union-attr]
    with pytest.raises(StoreBusyError, match="database is locked"):
        put(store, "a")
    other.execute("ROLLBACK")
    other.close()
    put(store, "a")
    assert values(store) == {"a": "v"}
    store.close()


def test_sqlite_with_a_full_disk_takes_nothing_and_resumes(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "store.db")
    raw = store._connection.connection.driver_connection
    assert raw is not None
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreBusyError, match="disk is full"):
        put(store, "a", "x" * 100_000)
    raw.execute("PRAGMA max_page_count=1000000")
    put(store, "a")
    assert values(store) == {"a": "v"}
    store.close()


def test_sqlite_commits_are_synced(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "store.db")
    raw = store._connection.connection.driver_connection
    assert raw is not None
    assert raw.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    store.close()


def test_sqlite_killed_in_mid_migration_is_old_or_new_never_between(tmp_path: Path) -> None:
    open_it = "import sys; from retrainer.store.sqlite import SqliteStore; SqliteStore.open(sys.argv[1]).close()"
    command = [sys.executable, "-c", open_it, str(tmp_path / "store.db")]
    killed = subprocess.run(command, env={**os.environ, "RETRAINER_CRASH_AT": "mid-migration"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    store = SqliteStore.open(tmp_path / "store.db")
    put(store, "a")
    assert values(store) == {"a": "v"}
    store.close()


def test_a_store_of_the_first_schema_keeps_what_was_asked_for(tmp_path: Path) -> None:
    """Answers were stored in `meta`. A repeated request after the upgrade gets the same answer."""
    SqliteStore.open(tmp_path / "store.db").close()
    old = sqlite3.connect(tmp_path / "store.db")
    whole = old.execute(SQLITE_COLUMNS).fetchall()
    for later in ("requests", "leader", "inbox", "readers", "activity"):
        old.execute(f"DROP TABLE {later}")
    for later in ("dead_letters_size", "dead_letters_event", "slots_at", "slots_rule", "runs_rule", "runs_live"):
        old.execute(f"DROP INDEX {later}")
    old.execute("ALTER TABLE dead_letters DROP COLUMN size")
    old.execute("ALTER TABLE runs RENAME COLUMN created_at TO born_at")
    old.execute("ALTER TABLE positions RENAME COLUMN partition TO part")
    old.execute("ALTER TABLE positions RENAME COLUMN topic_id TO incarnation")
    old.execute("ALTER TABLE objects DROP COLUMN notified_at")
    old.execute("ALTER TABLE fan_outs DROP COLUMN input")
    old.execute("UPDATE alembic_version SET version_num = '0001'")
    old.execute("""INSERT INTO meta VALUES ('trigger/k1', '{"decision":"fire"}'), ('other', '1')""")
    old.execute("INSERT INTO journal VALUES (1, 7.0, '', '', 'Wake', '{}')")
    old.commit()
    old.close()
    store = SqliteStore.open(tmp_path / "store.db")
    assert store.read(lambda conn: conn.exec_driver_sql(SQLITE_COLUMNS).fetchall()) == whole
    found = store.read(lambda conn: requests.known(conn, "trigger/k1"))
    assert found == requests.Request("trigger/k1", 7.0, {}, {"decision": "fire"})
    assert store.read(lambda conn: list(conn.exec_driver_sql("SELECT name FROM meta").scalars())) == ["other"]
    store.close()
