"""The store is the one that was opened, and is whole."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select

from retrainer.store import examine as examine_module
from retrainer.store import queries
from retrainer.store import tables as t
from retrainer.store.base import StoreBrokenError, StoreError
from retrainer.store.sqlite import SqliteStore
from retrainer.store.watch import StoreWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "s").mkdir()
    return tmp_path / "s" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(path)
    put(opened, "before")
    yield opened
    opened.close()


def put(store: SqliteStore, name: str) -> None:
    with store.write() as conn:
        conn.execute(insert(t.meta).values(name=name, value="v"))


def names(path: Path) -> list[str]:
    store = SqliteStore.open(path)
    found = store.read(lambda conn: sorted(conn.execute(select(t.meta.c.name)).scalars()))
    store.close()
    return found


def by_symlink(path: Path) -> Path:
    (other := path.parent / "link.db").symlink_to(path)
    return other


def by_hard_link(path: Path) -> Path:
    (other := path.parent / "hard.db").hardlink_to(path)
    return other


def without_its_lock_file(path: Path) -> Path:
    path.with_name("store.db.lock").unlink()
    return path


def with_a_foreign_descriptor_closed(path: Path) -> Path:
    path.with_name("store.db.lock").unlink()
    path.read_bytes()
    return path


@pytest.mark.parametrize(
    "approach", [by_symlink, by_hard_link, without_its_lock_file, with_a_foreign_descriptor_closed]
)
def test_nobody_opens_it_a_second_time(store: SqliteStore, path: Path, approach: Callable[[Path], Path]) -> None:
    with pytest.raises(StoreError, match="another process has it open; stop that daemon first"):
        SqliteStore.open(approach(path))
    put(store, "after")


def removed(path: Path) -> None:
    path.unlink()


def folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def log_removed(path: Path) -> None:
    path.with_name("store.db-wal").unlink()


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def another_written_over_it(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x" * 4096)


@pytest.mark.parametrize(
    ("accident", "words"),
    [
        (removed, "store.db: the file was removed"),
        (folder_removed, "store.db: the file was removed"),
        (moved, "store.db: the file is not there any more: moved, or its volume is gone"),
        (folder_moved, "store.db: the file is not there any more: moved, or its volume is gone"),
        (replaced, "store.db: another file has taken its place"),
        (log_removed, "store.db-wal: was removed or replaced"),
        (emptied, "store.db: was overwritten or cut"),
        (another_written_over_it, "store.db: was overwritten or cut"),
    ],
)
def test_a_store_that_went_away_takes_and_gives_nothing(
    store: SqliteStore, path: Path, accident: Callable[[Path], None], words: str
) -> None:
    assert store.trouble() == ""
    accident(path)
    assert words in store.trouble()
    with pytest.raises(StoreBrokenError, match=words):
        put(store, "after")
    with pytest.raises(StoreBrokenError, match=words):
        store.read(lambda conn: conn.execute(select(t.meta.c.name)).all())


def test_one_that_goes_in_the_middle_of_a_transaction_commits_nothing(store: SqliteStore, path: Path) -> None:
    def go_on() -> None:
        with store.write() as conn:
            conn.execute(insert(t.meta).values(name="after", value="v"))
            path.rename(path.with_name("elsewhere.db"))

    with pytest.raises(StoreBrokenError):
        go_on()
    path.with_name("elsewhere.db").rename(path)
    assert store.read(lambda conn: list(conn.execute(select(t.meta.c.name)).scalars())) == ["before"]


def test_one_that_comes_back_is_used_again(store: SqliteStore, path: Path) -> None:
    watch = StoreWatch(store)
    moved(path)
    watch.look()
    assert "is not there any more" in watch.trouble
    path.with_name("elsewhere.db").rename(path)
    watch.look()
    assert watch.trouble == ""
    put(store, "after")


@pytest.mark.parametrize("accident", [removed, folder_removed, replaced])
def test_what_was_accepted_is_there_after_a_restart(path: Path, accident: Callable[[Path], None]) -> None:
    store = SqliteStore.open(path)
    put(store, "before")
    accident(path)
    watch = StoreWatch(store)
    watch.look()
    assert "what was accepted" in watch.trouble
    store.close()
    assert names(path) == ["before"]
    assert sorted(p.name for p in path.parent.iterdir()) == ["store.db", "store.db.lock"]


def test_what_was_accepted_stands_beside_another_that_took_its_place(path: Path, tmp_path: Path) -> None:
    other = SqliteStore.open(tmp_path / "other.db")
    put(other, "another")
    other.close()
    store = SqliteStore.open(path)
    put(store, "before")
    (tmp_path / "other.db").rename(path)
    StoreWatch(store).look()
    store.close()
    assert names(path) == ["another"]
    (saved,) = path.parent.glob("store.db.lost-*")
    assert names(saved) == ["before"]


def test_one_that_was_moved_is_not_written_down_twice(store: SqliteStore, path: Path) -> None:
    moved(path)
    assert store.rescue() == ""
    assert not path.exists()


def test_a_log_without_its_database_is_not_thrown_away(path: Path) -> None:
    store = SqliteStore.open(path)
    put(store, "before")
    shutil.copytree(path.parent, path.parent.with_name("killed"))
    store.close()
    left = path.parent.with_name("killed") / "store.db"
    left.rename(left.with_name("elsewhere.db"))
    with pytest.raises(StoreError, match="beside it holds what was accepted last"):
        SqliteStore.open(left)
    left.with_name("elsewhere.db").rename(left)
    assert names(left) == ["before"]


def _filled(path: Path) -> None:
    store = SqliteStore.open(path)
    with store.write() as conn:
        rows = [{"name": f"n{n}", "value": "v" * 400} for n in range(300)]
        conn.execute(insert(t.meta), rows)
    store.close()


def _overwritten(path: Path, table: str) -> None:
    """The root page of a table becomes noise."""
    with sqlite3.connect(path) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
        (size,) = conn.execute("PRAGMA page_size").fetchone()
    conn.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x7f" * size)


@pytest.mark.parametrize("whole", [pytest.param(64 << 20, id="small"), pytest.param(0, id="as if it were large")])
@pytest.mark.parametrize("table", ["events", "states_rule_key", "meta", "runs_ended_at"])
def test_a_damaged_one_is_refused_at_start(path: Path, table: str, whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine_module, "WHOLE", whole)
    _filled(path)
    _overwritten(path, table)
    with pytest.raises(StoreError, match=r"store\.db: .*it is damaged: restore it from a backup, or save what can"):
        SqliteStore.open(path)


@pytest.mark.parametrize(
    "garbled",
    [pytest.param("x'7b00'", id="bytes"), pytest.param("'{'", id="half of it")],
)
def test_a_row_that_nobody_wrote_is_damage(store: SqliteStore, garbled: str) -> None:
    with store.write() as conn:
        conn.exec_driver_sql(
            "INSERT INTO events VALUES (1, 1.0, 's', 'i', 't', 1.0, '', ?, '{}', 'ignored', '[]')".replace("?", garbled)
        )
    with pytest.raises(StoreBrokenError, match="a row's data is no JSON; it is damaged"):
        store.read(queries.events)
    assert "is damaged" in store.trouble()


def test_damage_that_is_met_later_ends_it_whoever_swallowed_the_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled(path)
    _overwritten(path, "events")
    monkeypatch.setattr("retrainer.store.migrate.examine", lambda *_: None)
    store = SqliteStore.open(path)

    def go_on() -> None:
        with store.write() as conn:
            with suppress(Exception):
                conn.execute(select(t.events)).all()
            conn.execute(insert(t.meta).values(name="after", value="v"))

    with pytest.raises(StoreBrokenError, match="it is damaged"):
        go_on()
    assert "malformed" in store.trouble()
    with pytest.raises(StoreBrokenError):
        put(store, "later")
    assert store.read(lambda conn: conn.execute(select(t.meta.c.name).where(t.meta.c.name == "after")).all()) == []
    store.close()
