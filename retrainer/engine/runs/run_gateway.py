"""Access of the submitter and the watcher to the engine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from retrainer.engine.core.notifications import RunMoved
from retrainer.engine.runs.endings import end_run
from retrainer.engine.runs.transitions import observe
from retrainer.runs.run import Run, RunPhase
from retrainer.store import run_statements
from retrainer.store.base import StoreError
from retrainer.telemetry.secrets import SECRETS
from retrainer.workflows.base import Observed, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from retrainer.engine.core.engine import Engine
    from retrainer.engine.core.transaction import Transaction


T = TypeVar("T")


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise Unanswered(str(error)) from error


def _masked(outputs: Mapping[str, str]) -> dict[str, str]:
    """Mask secrets in outputs: a workflow that reads its manifest has the read token, and may print it to an output.

    Numbers are not masked, so that a short numeric secret cannot corrupt a metric.
    """
    return {name: value if _is_number(value) else SECRETS.mask(value) for name, value in outputs.items()}


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


class EngineRunGateway:
    """Each call is one transaction on the engine's thread, or one read, and blocks until it is done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _act(self, run: Callable[[Transaction], T]) -> T:
        with _answered():
            return self._engine.act(run).result()

    def _read(self, fn: Callable[[Connection], T]) -> T:
        with _answered():
            return self._engine.store.read(fn)

    def claim(self, limit: int, lease: float) -> list[Run]:
        def run(tx: Transaction) -> list[Run]:
            tx.writes.flush_runs()
            claimed = run_statements.claim(tx.conn, limit, tx.now, lease)
            for found in claimed:
                tx.writes.emit(RunMoved(found, RunPhase.SUBMITTING))
            return claimed

        return self._act(run)

    def submitted(self, run: str, uid: str) -> None:
        def store(tx: Transaction) -> None:
            found = run_statements.run(tx.conn, run)
            if found is None or found.phase not in (RunPhase.PENDING, RunPhase.SUBMITTING):
                return
            run_statements.update_run(
                tx.conn, run, phase="SUBMITTED", uid=uid, submitted_at=tx.now, lease_until=None, message=""
            )
            tx.stops = tx.stops or found.stop_requested is not None
            tx.writes.emit(RunMoved(found, RunPhase.SUBMITTED))

        self._act(store)

    def refused(self, run: str, message: str) -> None:
        message = SECRETS.mask(message)

        def store(tx: Transaction) -> None:
            found = run_statements.run(tx.conn, run)
            if found is not None and not found.phase.terminal:
                end_run(tx, found, RunPhase.ERROR, message, by_request=False)

        self._act(store)

    def postponed(self, run: str, message: str, retry_after: float) -> None:
        message = SECRETS.mask(message)

        def store(tx: Transaction) -> None:
            found = run_statements.run(tx.conn, run)
            if found is None or found.phase is not RunPhase.SUBMITTING:
                return
            if found.stop_requested is not None:
                end_run(tx, found, RunPhase.CANCELLED, "stopped before it was submitted", by_request=True)
                return
            run_statements.update_run(
                tx.conn,
                run,
                phase="PENDING",
                message=message,
                lease_until=None,
                not_before=tx.now + retry_after,
            )
            tx.pools_changed = True

        self._act(store)

    def observed(self, seen: Sequence[Observed]) -> None:
        masked = [replace(one, message=SECRETS.mask(one.message), outputs=_masked(one.outputs)) for one in seen]
        self._act(lambda tx: observe(tx, masked))

    def released(self, run: str) -> None:
        self._act(lambda tx: run_statements.update_run(tx.conn, run, released=True))

    def to_stop(self) -> list[Run]:
        return self._read(run_statements.to_stop)

    def to_release(self) -> list[Run]:
        return self._read(run_statements.to_release)

    def live_ids(self) -> list[str]:
        return self._read(run_statements.started_ids)

    def read_runs(self, ids: Iterable[str]) -> list[Run]:
        return list(self._read(lambda conn: run_statements.runs_by_id(conn, ids)).values())

    def live(self) -> list[Run]:
        """Return complete runs. For simulations, which have few runs."""
        return self._read(run_statements.started_runs)
