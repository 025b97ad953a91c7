"""SQLite: one process, one connection behind a lock, synchronous=FULL."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool

from retrainer.store.base import StoreBusyError, StoreError
from retrainer.store.migrate import migrate
from retrainer.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

    from retrainer.store.migrate import Prepare

T = TypeVar("T")

_PASSING = ("database is locked", "disk is full", "disk I/O error", "readonly database")


class SqliteStore:
    """The embedded store. Holds an exclusive lock on `<path>.lock` for as long as it is open, and so the lead."""

    shared = False
    undisputed = True

    def __init__(self, path: Path, engine: Engine, lock_file: int | None) -> None:
        self.path = path
        self._engine = engine
        self._lock_file = lock_file
        self._lock = threading.RLock()
        self._connection = engine.connect()

    @classmethod
    def open(cls, path: str | Path, prepare: Prepare = migrate) -> SqliteStore:
        """Open or create it, at the newest version of the schema if ``prepare`` brings it there. Raise StoreError."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = _lock_exclusively(path)
        try:
            _check_header(path)
            engine = _engine(path)
            prepare(engine, str(path))
            return cls(path, engine, lock_file)
        except DatabaseError as error:
            os.close(lock_file)
            raise StoreError(
                f"{path}: {error.orig}; restore it from a backup, or move it away to start anew"
            ) from error
        except StoreError:
            os.close(lock_file)
            raise

    @classmethod
    def in_memory(cls) -> SqliteStore:
        """A store that is gone once it is closed."""
        engine = _engine(":memory:")
        metadata.create_all(engine)
        return cls(Path(":memory:"), engine, None)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._lock:
            try:
                with self._connection.begin():
                    yield self._connection
            except OperationalError as error:
                if any(words in str(error.orig) for words in _PASSING):
                    raise StoreBusyError(f"{self.path}: {error.orig}") from error
                raise

    def settle(self) -> bool:
        raise AssertionError("a commit into a file always has an answer")

    def share(self) -> AbstractContextManager[Connection]:
        return self.write()

    def read(self, fn: Callable[[Connection], T]) -> T:
        with self.write() as conn:  # to SQLite it is the same: one connection, one lock
            return fn(conn)

    def size(self) -> int:
        return sum(p.stat().st_size for p in self.path.parent.glob(self.path.name + "*") if p.is_file())

    def clock(self) -> None:
        return None

    def claim(self) -> bool:
        return True

    def renew(self, url: str) -> None:
        pass

    def release(self) -> None:
        pass

    def holder(self) -> str:
        return "this process"

    def leader(self) -> str:
        return ""

    def hurry(self) -> None:
        """A disk answers."""

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            self._engine.dispose()
            if self._lock_file is not None:
                os.close(self._lock_file)


def _engine(path: Path | str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": 5, "isolation_level": None},
        execution_options={"insertmanyvalues_page_size": 500},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", "cache_size=-16000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _lock_exclusively(path: Path) -> int:
    try:
        lock_file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock_file)
        raise StoreError(f"{path}: another process has it open; stop that daemon first") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; the folder must be writable for this user") from error
    return lock_file


def _check_header(path: Path) -> None:
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if not file.read(16).startswith(b"SQLite format 3"):
                raise StoreError(
                    f"{path}: is not a SQLite database; name another file in `store.path`, or move it away"
                )
