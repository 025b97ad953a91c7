"""PostgreSQL: one writer at a time among all replicas, and readers on separate connections."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from retrainer.store import leader_lease
from retrainer.store.base import CommitUnknownError, StoreBrokenError, StoreBusyError, StoreError, StoreLostError
from retrainer.store.faults import StoreFault, fault_of, passes, sqlstate
from retrainer.store.guarded_connection import ServerHealth, SilenceError
from retrainer.store.migrate import assert_known, migrate
from retrainer.store.postgres_engine import READS, WRITES, GuardedConnections, place
from retrainer.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from retrainer.store.migrate import Prepare

T = TypeVar("T")
_ROLLED_BACK = ("23", "40")
"""SQLSTATE classes after which a COMMIT was certainly not done. After any other error, it may have been."""


class PostgresStore:
    """A store shared by several replicas. `claim` makes this one the only writer.

    READ COMMITTED is sufficient: every transaction first locks the leader's row, so they are serialized.
    """

    shared = True

    def __init__(self, writes: GuardedConnections, reads: GuardedConnections, where: str, me: leader_lease.Me) -> None:
        self.where = where
        """Host, port and database, for messages."""
        self.undisputed = False
        self._kinds, self._me = (writes, reads), me
        self._engine = writes.engine
        self._reads = reads.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        for lines in self._kinds:
            lines.limit()
        self._lock = threading.RLock()
        self._leader_lease: leader_lease.LeaderLease | None = None
        self._broken = ""
        self._mark = self._known = 0
        """Marks of the last transaction that began, and of the last that is known to be committed."""

    @classmethod
    def open(cls, url: str, password: Callable[[], str] | None = None, prepare: Prepare = migrate) -> PostgresStore:
        """Connect, and bring the schema to its newest version. Raise StoreError; its message never has a password."""
        me, where = leader_lease.me(), place(url)
        health = ServerHealth()
        writes, reads = (GuardedConnections(url, password, me.session, kind, health) for kind in (WRITES, READS))
        try:
            prepare(writes.engine, where)
        except (SQLAlchemyError, ValueError) as error:
            writes.engine.dispose()
            what = _words(error) if isinstance(error, SQLAlchemyError) else str(error)
            raise StoreError(
                f"{where}: {what}; check `store.url`, `store.password`, and that the server is up"
            ) from None
        except StoreError:
            writes.engine.dispose()
            raise
        return cls(writes, reads, where, me)

    @contextmanager
    def write(self, just_before: Callable[[], None] = lambda: None) -> Iterator[Connection]:
        with self._lock, self._translated(), self._engine.connect() as conn:
            self._hold(conn)
            yield conn
            just_before()
            try:
                conn.commit()
            except DBAPIError as error:
                if _unknown(error):
                    conn.invalidate()
                    raise CommitUnknownError(
                        f"{self.where}: {_words(error)}; whether it was committed is looked up"
                    ) from error
                raise
            self._known, self._broken = self._mark, ""

    def _hold(self, conn: Connection) -> None:
        if self._leader_lease is None:
            raise StoreLostError(f"{self.where}: another daemon is the leader")
        self._mark += 1
        if not leader_lease.hold(conn, self._leader_lease.epoch, self._known, self._mark):
            raise self._lost()

    def _lost(self) -> StoreLostError:
        try:
            self.read(self._assert_known)
            epoch, _ = self._transact(leader_lease.last)
        except StoreError as error:
            return StoreLostError(str(error))
        if self._leader_lease is not None and epoch <= self._leader_lease.epoch:
            return StoreLostError(
                f"{self.where}: the store is in an earlier state and lacks committed data: it is a "
                "backup, or a standby that had not received everything"
            )
        return StoreLostError(f"{self.where}: another daemon took over while this one did not respond")

    def _assert_known(self, conn: Connection, *, lock: bool = False) -> None:
        assert_known(conn, self.where, lock=lock)

    @contextmanager
    def share(self) -> Iterator[Connection]:
        with self._translated(), self._engine.begin() as conn:
            self._assert_known(conn, lock=True)
            yield conn

    def settle(self) -> bool:
        epoch, mark = self._transact(leader_lease.last)
        if self._leader_lease is None or epoch != self._leader_lease.epoch:
            raise self._lost()
        if mark == self._mark:
            self._known = mark
        return mark == self._mark

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Read one snapshot. If an idle connection turns out to be closed, retry once with another."""
        for _ in range(2):
            try:
                with self._reads.connect() as conn:
                    return fn(conn)
            except DBAPIError as error:
                if not error.connection_invalidated or _silent(error):
                    raise self._told(error) from error
                cut = error
            except SQLAlchemyError as error:
                raise self._told(error) from error
        raise self._told(cut) from cut

    def trouble(self) -> str:
        return self._broken

    def rescue(self) -> str:
        return ""

    @property
    def losing(self) -> bool:
        return False

    def used(self) -> int:
        return self.size()

    def checkpoint(self) -> None:
        """Nothing to do: the server does checkpoints."""

    def size(self) -> int:
        sizes = [func.pg_total_relation_size(func.to_regclass(name)) for name in metadata.tables]
        return sum(size or 0 for size in self.read(lambda conn: conn.execute(select(*sizes)).one()))

    def clock(self) -> float:
        return self.read(lambda conn: conn.execute(select(leader_lease.NOW)).scalar_one())

    def claim(self) -> bool:
        if not self._transact(self._free):
            return False
        self._leader_lease = self._transact(self._take)
        if self._leader_lease is None:
            return False
        self._mark = self._known = self._leader_lease.mark
        self.undisputed = self._leader_lease.undisputed
        return True

    def _free(self, conn: Connection) -> bool:
        self._assert_known(conn)
        return leader_lease.free(conn)

    def _take(self, conn: Connection) -> leader_lease.LeaderLease | None:
        self._assert_known(conn, lock=True)
        return leader_lease.take(conn, self._me)

    def renew(self, url: str) -> None:
        found = self._leader_lease
        if found is None or not self._transact(
            partial(leader_lease.renew, epoch=found.epoch, known=self._known, url=url)
        ):
            raise self._lost()

    def release(self) -> None:
        with self._lock:
            found, self._leader_lease = self._leader_lease, None
        if found is not None:
            self._transact(partial(leader_lease.release, epoch=found.epoch))

    def holder(self) -> str:
        return self.read(leader_lease.holder)

    def leader(self) -> str:
        return self.read(leader_lease.url)

    def hurry(self) -> None:
        for lines in self._kinds:
            lines.hurry()

    def close(self) -> None:
        for lines in self._kinds:
            lines.engine.dispose()

    def _transact(self, fn: Callable[[Connection], T]) -> T:
        with self._translated(), self._engine.begin() as conn:
            return fn(conn)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._told(error) from error

    def _told(self, error: SQLAlchemyError) -> Exception:
        """Translate an error of the server to a store error. Other errors are returned unchanged."""
        if _stale(error):
            self.close()  # connections are reopened on demand
        if fault_of(error) is StoreFault.CORRUPT:
            self._broken = f"{self.where}: {_words(error)}; look at the server's log, and restore the database"
            return StoreBrokenError(self._broken)
        return StoreBusyError(f"{self.where}: {_words(error)}") if passes(error) else error


def _unknown(error: DBAPIError) -> bool:
    """Whether a COMMIT that failed with this error may have been carried out."""
    return not sqlstate(error).startswith(_ROLLED_BACK)


def _stale(error: SQLAlchemyError) -> bool:
    """Whether other connections of the pool may lead to the wrong server too."""
    return isinstance(error, DBAPIError) and (error.connection_invalidated or sqlstate(error).startswith("25006"))


def _silent(error: DBAPIError) -> bool:
    """Whether the read timeout expired, so that an immediate retry is useless."""
    return isinstance(error.orig, SilenceError)


def _words(error: SQLAlchemyError) -> str:
    """Return the error in one line, without the statement's parameters."""
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return " ".join(text.split())
