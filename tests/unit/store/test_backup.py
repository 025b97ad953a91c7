"""A backup of a SQLite store that is in use: a complete copy of one point in time, or no file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from retrainer.simulate.world import ManualClock
from retrainer.store import backup
from retrainer.store.backup import back_up
from retrainer.store.base import StoreError
from retrainer.store.pg_dump import pg_dump
from retrainer.store.restore import restore
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = 400
_INSERT = "INSERT INTO config_files (path, hash, content, at) VALUES (:path, '', :content, 0)"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "store.db")
    add(opened, range(ROWS))
    yield opened
    opened.close()


def add(store: SqliteStore, numbers: range) -> None:
    with store.write() as conn:
        for number in numbers:
            conn.exec_driver_sql(_INSERT, {"path": f"rules/{number}.yaml", "content": "x" * 4000})


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM config_files").fetchone()[0])


def copied(store: SqliteStore, target: Path, progress: Callable[[int, int], None] = lambda *_: None) -> backup.Backup:
    return back_up(store.path, target, ManualClock(1000.0), progress)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith("store.db")}


def test_commits_during_the_copy_neither_restart_it_nor_come_into_it(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGES", 40)
    steps: list[int] = []

    def commit(done: int, _pages: int) -> None:
        assert len(steps) < 50, "it begins again after each commit"
        steps.append(done)
        add(store, range(ROWS + len(steps), ROWS + len(steps) + 1))
        store.checkpoint()

    made = copied(store, tmp_path / "b.db", commit)
    assert steps == sorted(steps)
    assert len(steps) > 5
    assert rows(tmp_path / "b.db") == ROWS
    assert (made.at, made.bytes) == (1000.0, (tmp_path / "b.db").stat().st_size)
    assert store.trouble() == ""
    assert rows(store.path) == ROWS + len(steps)


def test_the_copy_is_a_store_for_this_user_only(store: SqliteStore, tmp_path: Path) -> None:
    copied(store, tmp_path / "b.db")
    assert names(tmp_path) == {"b.db"}
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600
    SqliteStore.open(tmp_path / "b.db").close()


def test_the_log_of_a_killed_daemon_is_in_the_copy(store: SqliteStore, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    for side in ("", "-wal"):  # as after a power cut; nothing is committed meanwhile
        (left / f"killed.db{side}").write_bytes(Path(f"{store.path}{side}").read_bytes())
    assert (left / "killed.db-wal").stat().st_size
    before = (left / "killed.db").read_bytes()
    back_up(left / "killed.db", tmp_path / "b.db", ManualClock(0.0), lambda *_: None)
    assert rows(tmp_path / "b.db") == ROWS
    assert (left / "killed.db").read_bytes() == before, "the store is only read"


def test_an_existing_file_is_never_overwritten(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    with pytest.raises(StoreError, match="exists"):
        copied(store, target, lambda *_: target.write_text("mine") and None)
    with pytest.raises(StoreError, match="exists already"):
        copied(store, target)
    assert target.read_text() == "mine"
    assert names(tmp_path) == {"b.db"}


def test_a_volume_without_hard_links(store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    copied(store, tmp_path / "b.db")
    assert rows(tmp_path / "b.db") == ROWS
    assert names(tmp_path) == {"b.db"}


def test_a_damaged_store_gives_no_backup(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "store.db")
    add(store, range(ROWS))
    store.close()
    raw = bytearray(store.path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 40960] = os.urandom(40960)
    store.path.write_bytes(raw)
    with pytest.raises(StoreError, match="keep the backups before it"):
        copied(store, tmp_path / "b.db")
    assert names(tmp_path) == set()


def test_what_is_no_store(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (a)")
    (tmp_path / "text").write_text("not a database, although it is long enough for one" * 100)
    for name in ("other.db", "text", "absent.db"):
        with pytest.raises(StoreError, match=name):
            back_up(tmp_path / name, tmp_path / "b.db", ManualClock(0.0), lambda *_: None)
    with pytest.raises(StoreError, match="there is no folder"):
        back_up(tmp_path / "other.db", tmp_path / "none" / "b.db", ManualClock(0.0), lambda *_: None)
    assert names(tmp_path) == {"other.db", "text"}


def test_backups_beside_the_store_are_not_counted_as_its_size(store: SqliteStore, tmp_path: Path) -> None:
    """The store is pruned by its size."""
    before = store.size()
    copied(store, tmp_path / "store.db.monday")
    assert store.size() == before


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        (
            "postgresql://u:hunter2@db:5432/r?sslmode=verify-full",
            "host=db dbname=r user=u port=5432 sslmode=verify-full",
        ),
        (
            "postgresql+psycopg://u@/r?host=a:1&host=b:2&target_session_attrs=read-write",
            "dbname=r user=u host=a,b target_session_attrs=read-write port=1,2",
        ),
        ("postgresql://u@db/r?sslpassword=hunter2", "host=db dbname=r user=u"),
    ],
)
def test_the_command_for_postgresql_has_no_password(url: str, connection: str) -> None:
    assert pg_dump(url, Path("r.dump")) == f"pg_dump --format=custom --file=r.dump '--dbname={connection}'"


# -- restore -----------------------------------------------------------------------------------------------------------


def killed(store: SqliteStore, path: Path) -> None:
    """Leave at ``path`` what a daemon leaves that is killed: its file and the log with its last commits."""
    for side in ("", "-wal", "-shm"):
        Path(f"{path}{side}").write_bytes(Path(f"{store.path}{side}").read_bytes())


def test_a_restore_takes_the_log_of_the_old_store_away(store: SqliteStore, tmp_path: Path) -> None:
    copied(store, tmp_path / "b.db")
    add(store, range(ROWS, ROWS + 7))
    old = tmp_path / "old"
    old.mkdir()
    killed(store, old / "s.db")
    made = restore(tmp_path / "b.db", old / "s.db", lambda *_: None)
    assert made.before == old / "s.db.before-1"
    assert {path.name for path in old.iterdir()} == {"s.db", "s.db.lock", "s.db.before-1", "s.db.before-1-wal"}
    assert rows(old / "s.db") == ROWS
    assert rows(old / "s.db.before-1") == ROWS + 7, "nothing of it is lost"
    assert restore(tmp_path / "b.db", old / "s.db", lambda *_: None).before == old / "s.db.before-2"
    assert restore(tmp_path / "b.db", tmp_path / "new.db", lambda *_: None).before is None
    assert not (tmp_path / "b.db-shm").exists(), "the backup is only read"


def test_a_restore_that_fails_changes_nothing(store: SqliteStore, tmp_path: Path) -> None:
    copied(store, tmp_path / "b.db")
    with pytest.raises(StoreError, match="stop that daemon first"):
        restore(tmp_path / "b.db", store.path, lambda *_: None)
    old = tmp_path / "old"
    old.mkdir()
    killed(store, old / "s.db")
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    raw = bytearray((tmp_path / "b.db").read_bytes())
    raw[len(raw) // 2 :] = os.urandom(len(raw) - len(raw) // 2)
    (tmp_path / "b.db").write_bytes(raw)
    (tmp_path / "text").write_text("not a database, although it is long enough for one" * 100)
    for name in ("b.db", "text"):
        with pytest.raises(StoreError, match=name):
            restore(tmp_path / name, old / "s.db", lambda *_: None)
    assert {path.name: path.read_bytes() for path in old.iterdir() if path.name != "s.db.lock"} == before
