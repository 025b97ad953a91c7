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
from retrainer.store.faults import Fault, fault_of
from retrainer.store.migrate import migrate
from retrainer.store.rescue import rescue
from retrainer.store.sqlite_file import SqliteFile
from retrainer.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import ExceptionContext

    from retrainer.store.migrate import Prepare

T = TypeVar("T")

MOST_PAGES = 8000
"""Pages of the log after which a commit writes them into the file itself, which takes it some milliseconds longer:
`checkpoint` does so beside the commits, and is that far behind only while they come as fast as they can."""


class SqliteStore:
    """The embedded store. Holds its file locked for as long as it is open, and so the lead."""

    shared = False
    undisputed = True

    def __init__(self, path: Path, engine: Engine, held: SqliteFile | None) -> None:
        self.path = path
        self._engine = engine
        self._file = held
        self._lock = threading.RLock()
        self._connection = engine.connect()
        self._broken = ""
        """Why it is of no use until somebody has mended it and the daemon was restarted."""
        self._rescued = False
        self._checkpoints: sqlite3.Connection | None = None
        if held is not None:
            self._checkpoints = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        event.listen(engine, "handle_error", self._heed)
        if held is not None:
            # What the log holds goes into the file first, so far as readers let it.
            self._driver.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
            ((mark,),) = self._driver.execute("PRAGMA application_id").fetchall()
            held.begin_watch(mark)

    @classmethod
    def open(cls, path: str | Path, prepare: Prepare = migrate) -> SqliteStore:
        """Open or create it, at the newest version of the schema if ``prepare`` brings it there. Raise StoreError."""
        path = Path(path)
        held = SqliteFile.open(path)
        engine = _engine(path)
        try:
            prepare(engine, str(path))
            return cls(path, engine, held)
        except (DatabaseError, StoreError) as error:
            engine.dispose()  # SQLite lets go of the file first
            held.close()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path}: {_words(error)}") from error

    @classmethod
    def in_memory(cls) -> SqliteStore:
        """A store that is gone once it is closed."""
        engine = _engine(":memory:")
        metadata.create_all(engine)
        return cls(Path(":memory:"), engine, None)

    @contextmanager
    def write(self, just_before: Callable[[], None] = lambda: None) -> Iterator[Connection]:
        self._check()  # whoever has the lock may be writing down what was accepted, which takes its time
        with self._lock, self._translated():
            with self._connection.begin():
                yield self._connection
                self._check()
                just_before()
            if gone := self._gone():  # it went in between: what was committed must not be acknowledged
                self._broken = gone
                raise StoreBrokenError(gone)

    @property
    def _driver(self) -> sqlite3.Connection:
        """Outside of SQLAlchemy's transactions."""
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
        return driver

    def _gone(self) -> str:
        return self._file.trouble() if self._file is not None else ""

    def _check(self) -> None:
        if trouble := self.trouble():
            raise StoreBrokenError(trouble)

    def _heed(self, context: ExceptionContext) -> None:
        """Damage is noticed whoever met it, also if they go on without."""
        error = context.sqlalchemy_exception
        if error is not None and fault_of(error) is Fault.CORRUPT:
            self._broken = f"{self.path}: {_words(error)}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of SQLite as the engine knows them; what is the statement's own stays what it is."""
        try:
            yield
        except GarbledError as error:
            self._broken = f"{self.path}: {error}; {WAY_OUT}"
            raise StoreBrokenError(self._broken) from error
        except SQLAlchemyError as error:
            fault = fault_of(error)
            if fault is not None and fault.passing:
                raise StoreBusyError(f"{self.path}: {_words(error)}") from error
            if fault is Fault.CORRUPT:
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
                raise StoreError(f"what was accepted could not be written down again: {error}") from error
            self._rescued = True
            self._broken = self._broken or self._gone()
        if target is None:
            return "what was accepted stands in the copy that has taken its place, and in the log beside it"
        return f"what was accepted was written down again, in {target}"

    def settle(self) -> bool:
        raise AssertionError("a commit into a file always has an answer")

    def share(self) -> AbstractContextManager[Connection]:
        return self.write()

    def read(self, fn: Callable[[Connection], T]) -> T:
        if gone := self._gone():  # what is damaged may be looked at, as far as it can be read
            raise StoreBrokenError(gone)
        with self._lock, self._translated(), self._connection.begin():
            return fn(self._connection)

    def checkpoint(self) -> None:
        if self._checkpoints is None or self.trouble():
            return
        try:
            self._checkpoints.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        except sqlite3.Error as error:  # the next commit meets it, too, and knows what follows
            raise StoreBusyError(f"{self.path}: {error}") from error

    def size(self) -> int:
        return sum(p.stat().st_size for p in self.path.parent.glob(self.path.name + "*") if p.is_file())

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
        """A disk answers."""

    def close(self) -> None:
        with self._lock:
            if self._checkpoints is not None:
                self._checkpoints.close()
            self._connection.close()
            self._engine.dispose()
            if self._file is not None:  # last: closing it takes SQLite's own locks away
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
    told = str(getattr(error, "orig", error))
    return f"{told}; {WAY_OUT}" if fault_of(error) is Fault.CORRUPT else told
