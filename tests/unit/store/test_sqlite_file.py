"""The SQLite file is checked when it is opened: its identity and its integrity."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select
from structlog.testing import capture_logs

from retrainer.store import examine as examine_module
from retrainer.store import queries, sqlite_file
from retrainer.store import rescue as rescue_module
from retrainer.store import tables as t
from retrainer.store.base import StoreBrokenError, StoreError
from retrainer.store.migrate import migrate
from retrainer.store.sqlite import SqliteStore
from retrainer.store.watch import AGAIN, StoreWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine


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


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def noise_written_over_it(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x" * 4096)


def another_written_over_it(path: Path) -> None:
    other = path.with_name("other.db")
    SqliteStore.open(other).close()
    with path.open("r+b") as file:
        file.write(other.read_bytes())


@pytest.mark.parametrize(
    ("accident", "words"),
    [
        (removed, "store.db: the file was removed"),
        (folder_removed, "store.db: the file was removed"),
        (moved, "store.db: the file no longer exists: it was moved, or its volume is gone"),
        (folder_moved, "store.db: the file no longer exists: it was moved, or its volume is gone"),
        (replaced, "store.db: another file replaced it"),
        (log_removed, "store.db-wal: was removed or replaced"),
        (emptied, "store.db: was overwritten or cut"),
        (cut_in_half, "store.db: was overwritten or cut"),
        (noise_written_over_it, "store.db: was overwritten or cut"),
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


def test_what_may_be_whole_is_not_to_be_restored_from_a_backup(store: SqliteStore, path: Path) -> None:
    noise_written_over_it(path)
    assert "retrainer store check" in store.trouble()
    assert "backup" not in store.trouble()


CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"


def run(path: Path, *statements: str) -> None:
    """Run SQL statements, as an operator with a shell would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for one in statements:
            conn.execute(one).fetchall()


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(("CREATE INDEX mine ON events (source)",), id="an index"),
        pytest.param(("ANALYZE",), id="statistics"),
        pytest.param(
            ("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",), id="a table of a sidecar"
        ),
        pytest.param(("VACUUM",), id="a vacuum"),
        pytest.param(("DELETE FROM meta", CHECKPOINT, "VACUUM"), id="a vacuum that shortens the file"),
    ],
)
def test_what_others_may_do_to_a_whole_store_is_no_damage(path: Path, statements: tuple[str, ...]) -> None:
    _filled(path)
    store = SqliteStore.open(path)
    before = path.stat().st_size
    run(path, *statements, CHECKPOINT)
    assert store.trouble() == ""
    put(store, "after")
    run(path, CHECKPOINT)
    assert store.trouble() == ""
    assert path.stat().st_size < before or "DELETE FROM meta" not in statements
    cut_in_half(path)
    assert "was overwritten or cut" in store.trouble()
    store.close()


def test_a_file_that_grows_while_two_threads_examine_it_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(path)
    identity = sqlite_file._identity

    def grown_and_examined_meanwhile(of: Path | str) -> object:
        monkeypatch.setattr(sqlite_file, "_identity", identity)
        _fill(store)
        run(path, CHECKPOINT)
        assert store.trouble() == "", "the other thread"
        return identity(of)

    monkeypatch.setattr(sqlite_file, "_identity", grown_and_examined_meanwhile)
    assert store.trouble() == ""
    store.close()


def test_a_migration_that_a_reader_keeps_in_the_log_is_no_damage_later(path: Path) -> None:
    SqliteStore.open(path).close()
    run(path, "PRAGMA application_id = 0", CHECKPOINT)  # as an older release leaves it

    def migrate_further(engine: Engine, where: str) -> None:
        migrate(engine, where)
        with engine.begin() as conn:
            conn.exec_driver_sql("CREATE TABLE newer (a)")

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchall()
        store = SqliteStore.open(path, migrate_further)
        assert store.trouble() == ""
    run(path, CHECKPOINT)
    assert store.trouble() == ""
    put(store, "after")
    another_written_over_it(path)
    assert "was overwritten or cut" in store.trouble()
    store.close()


def test_a_store_keeps_what_tells_it_from_others(path: Path, tmp_path: Path) -> None:
    def mark(of: Path) -> bytes:
        SqliteStore.open(of).close()
        return of.read_bytes()[68:72]

    first = mark(path)
    assert first == mark(path)
    assert first not in (bytes(4), mark(tmp_path / "other.db"))


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
    assert "no longer exists" in watch.trouble
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
    assert "accepted data" in watch.trouble
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


def test_a_backup_that_is_put_there_meanwhile_costs_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(path)
    put(store, "before")
    other = SqliteStore.open(tmp_path / "backup.db")
    put(other, "another")
    other.close()
    for file in path.parent.iterdir():
        file.unlink()
    monkeypatch.setattr(rescue_module, "beat", lambda: shutil.copy(tmp_path / "backup.db", path))
    watch = StoreWatch(store)
    watch.look()
    (saved,) = path.parent.glob("store.db.lost-*")
    assert f"was written again, to {saved}" in watch.trouble
    store.close()
    assert names(path) == ["another"]
    assert names(saved) == ["before"]
    assert not list(path.parent.glob("*draft*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_could_not_be_written_down_is_tried_again(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(path)
    put(store, "before")
    removed(path)
    watch = StoreWatch(store)
    tries: list[str] = []

    def fail() -> None:
        tries.append(watch.trouble)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(rescue_module, "beat", fail)
        for _ in range(2 * AGAIN + 2):
            watch.look()
    assert len(tries) == 2
    assert all("do not restart yet: accepted data is being written" in told for told in tries)
    assert re.search(rf"do not restart yet: .* {os.strerror(number)}; retrying", watch.trouble)
    told = [one["outcome"].partition(":")[0] for one in logs if one["event"] == "store.rescue"]
    assert told == ["do not restart yet"] * 2
    assert not list(path.parent.glob("*draft*"))
    watch.stop()
    assert "was written again" in watch.trouble
    store.close()
    assert names(path) == ["before"]


def test_a_copy_that_can_have_no_second_name_keeps_its_first(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not here")

    removed(path)
    monkeypatch.setattr(os, "link", refuse)
    watch = StoreWatch(store)
    for _ in range(AGAIN + 2):
        watch.look()
    (saved,) = path.parent.glob("store.db.draft-*")
    assert f"was written again, to {saved}" in watch.trouble
    assert names(saved) == ["before"]


def test_what_an_earlier_process_of_the_same_number_saved_is_kept(store: SqliteStore, path: Path) -> None:
    earlier = path.with_name(f"store.db.lost-{os.getpid()}")
    earlier.write_text("kept")
    removed(path)
    path.write_text("another")
    StoreWatch(store).look()
    assert (path.read_text(), earlier.read_text()) == ("another", "kept")
    assert names(path.with_name(f"{earlier.name}-2")) == ["before"]


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
    with pytest.raises(StoreError, match="next to it has the last accepted data"):
        SqliteStore.open(left)
    left.with_name("elsewhere.db").rename(left)
    assert names(left) == ["before"]


def _filled(path: Path) -> None:
    store = SqliteStore.open(path)
    _fill(store)
    store.close()


def _fill(store: SqliteStore) -> None:
    with store.write() as conn:
        rows = [{"name": f"n{n}", "value": "v" * 400} for n in range(300)]
        conn.execute(insert(t.meta), rows)


def _overwritten(path: Path, table: str) -> None:
    """Overwrite the root page of a table with garbage."""
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
    with pytest.raises(StoreBrokenError, match="a row's data is not JSON; it is damaged"):
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


def test_the_log_goes_into_the_file_beside_the_commits_and_not_in_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore.open(path)
    before = path.read_bytes()
    with store.write() as conn:  # more than the 4 MB after which SQLite checkpoints by itself
        conn.execute(insert(t.meta).values(name="large", value="v" * 5_000_000))
    assert path.read_bytes() == before
    store.checkpoint()
    assert path.read_bytes() != before
    assert (tmp_path / "copy.db").write_bytes(path.read_bytes())
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:  # without the WAL
        assert copy.execute("SELECT length(value) FROM meta").fetchone() == (5_000_000,)
    store.close()
