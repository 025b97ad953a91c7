"""SQLite: one process, one connection behind a lock, synchronous=FULL."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from retrainer.store.base import GarbledError, StoreBrokenError, StoreBusyError, StoreError
from retrainer.store.examine import WAY_OUT
from retrainer.store.faults import StoreFault, fault_of, passes
from retrainer.store.migrate import migrate
from retrainer.store.rescue import rescue
from retrainer.store.sqlite_file import SIDES, SqliteFile
from retrainer.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import ExceptionContext

    from retrainer.store.migrate import Prepare

T = TypeVar("T")

MOST_PAGES = 8000
"""Pages of the WAL after which a commit does a checkpoint itself, which takes it some milliseconds longer.
`checkpoint` runs beside the commits, and falls this far behind only under maximum load."""


class SqliteStore:
    """The embedded store. It holds its file locked while it is open, and therefore always has the leadership."""

    shared = False
    undisputed = True

    def __init__(self, path: Path, engine: Engine, held: SqliteFile | None) -> None:
        self.path = path
        self._engine = engine
        self._file = held
        self._lock = threading.RLock()
        self._connection = engine.connect()
        self._broken = ""
        """Why the store is unusable until it was repaired and the daemon restarted."""
        self._rescued = False
        self._checkpoints: sqlite3.Connection | None = None
        if held is not None:
            self._checkpoints = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        event.listen(engine, "handle_error", self._heed)
        if held is not None:
            # Checkpoint the WAL first, as far as readers permit.
            self._driver.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
            ((mark,),) = self._driver.execute("PRAGMA application_id").fetchall()
            held.begin_watch(mark)

    @classmethod
    def open(cls, path: str | Path, prepare: Prepare = migrate) -> SqliteStore:
        """Open or create a store. ``prepare`` brings the schema to its newest version. Raise StoreError."""
        path = Path(path)
        held = SqliteFile.open(path)
        engine = _engine(path)
        try:
            prepare(engine, str(path))
            return cls(path, engine, held)
        except (DatabaseError, StoreError) as error:
            engine.dispose()  # SQLite must close the file first
            held.close()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path}: {_words(error)}") from error

    @classmethod
    def in_memory(cls) -> SqliteStore:
        """Return a store without a file, lost when it is closed."""
        engine = _engine(":memory:")
        metadata.create_all(engine)
        return cls(Path(":memory:"), engine, None)

    @contextmanager
    def write(self, just_before: Callable[[], None] = lambda: None) -> Iterator[Connection]:
        self._check()  # before the lock: a rescue may hold it for minutes
        with self._lock, self._translated():
            with self._connection.begin():
                yield self._connection
                self._check()
                just_before()
            if gone := self._gone():  # the file went away meanwhile: the commit must not be acknowledged
                self._broken = gone
                raise StoreBrokenError(gone)

    @property
    def _driver(self) -> sqlite3.Connection:
        """The driver's connection, for statements outside of SQLAlchemy's transactions."""
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
        return driver

    def _gone(self) -> str:
        return self._file.trouble() if self._file is not None else ""

    def _check(self) -> None:
        if trouble := self.trouble():
            raise StoreBrokenError(trouble)

    def _heed(self, context: ExceptionContext) -> None:
        """Record damage reported by any statement, even if its caller handles the error."""
        error = context.sqlalchemy_exception
        if error is not None and fault_of(error) is StoreFault.CORRUPT:
            self._broken = f"{self.path}: {_words(error)}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate errors of SQLite to store errors. Errors of the statement itself are raised unchanged."""
        try:
            yield
        except GarbledError as error:
            self._broken = f"{self.path}: {error}; {WAY_OUT}"
            raise StoreBrokenError(self._broken) from error
        except SQLAlchemyError as error:
            if passes(error):
                raise StoreBusyError(f"{self.path}: {_words(error)}") from error
            if fault_of(error) is StoreFault.CORRUPT:
                raise StoreBrokenError(self._broken) from error
            raise

    def trouble(self) -> str:
        return self._broken or self._gone()

    @property
    def losing(self) -> bool:
        return not self._rescued and self._file is not None and self._file.is_removed

    def rescue(self) -> str:
        if not self.losing or self._file is None:
            return ""
        with self._lock:
            try:
                target = rescue(self._driver, self._file)
            except (OSError, sqlite3.Error) as error:
                raise StoreError(f"accepted data could not be written again: {error}") from error
            self._rescued = True
            self._broken = self._broken or self._gone()
        if target is None:
            return "the accepted data is in the copy that replaced it, and in the log next to it"
        return f"the accepted data was written again, to {target}"

    def settle(self) -> bool:
        raise AssertionError("a commit into a file always has an answer")

    def share(self) -> AbstractContextManager[Connection]:
        return self.write()

    def read(self, fn: Callable[[Connection], T]) -> T:
        if gone := self._gone():  # a damaged store may still be read, as far as possible
            raise StoreBrokenError(gone)
        with self._lock, self._translated(), self._connection.begin():
            return fn(self._connection)

    def checkpoint(self) -> None:
        if self._checkpoints is None or self.trouble():
            return
        try:
            self._checkpoints.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        except sqlite3.Error as error:  # the next commit raises it too, and handles it
            raise StoreBusyError(f"{self.path}: {error}") from error

    def size(self) -> int:
        found = (Path(f"{self.path}{side}") for side in ("", *SIDES))  # not a backup beside it, `retrainer.db.monday`
        return sum(file.stat().st_size for file in found if file.is_file())

    def used(self) -> int:
        names = ("page_count", "freelist_count", "page_size")
        pages, free, size = self.read(lambda c: [c.exec_driver_sql(f"PRAGMA {n}").scalar_one() for n in names])
        return int((pages - free) * size)

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
        """Nothing to do: a local disk always answers."""

    def close(self) -> None:
        with self._lock:
            if self._checkpoints is not None:
                self._checkpoints.close()
            self._connection.close()
            self._engine.dispose()
            if self._file is not None:  # last: closing it releases SQLite's own locks
                self._file.close()


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
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "temp_store=MEMORY",
            "cache_size=-16000",
            f"wal_autocheckpoint={MOST_PAGES}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _words(error: SQLAlchemyError) -> str:
    message = str(getattr(error, "orig", error))
    return f"{message}; {WAY_OUT}" if fault_of(error) is StoreFault.CORRUPT else message
