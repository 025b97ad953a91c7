"""The intake for all sources: routes to the engine if this replica is the leader, else to the standby intake."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.engine.intake import partitions
from retrainer.engine.replication import inbox
from retrainer.sources.base import Batch, Claimed, Intake, Overloaded, Query, Receipt
from retrainer.store.base import Store, StoreError
from retrainer.util.supervision import LONGEST_WAIT, Worker, beat

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from concurrent.futures import Future

    from retrainer.engine.core.engine import Engine
    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.replication.standby_intake import StandbyIntake

log = structlog.get_logger()

LOOK_EVERY = 0.1
"""Seconds between two checks of the inbox."""


class IntakeRouter:
    """`begin` routes to the standby intake, `lead` to the engine. Batches of a partition are folded in order.

    A partition changes its owner by a claim, which invalidates the epoch of the former owner. All batches of the former
    owner are therefore in the inbox by then, and are folded with the claim.
    """

    def __init__(self, engine: Engine, standby_intake: StandbyIntake, store: Store) -> None:
        self._engine, self._standby_intake, self._store = engine, standby_intake, store
        self._open: Intake | None = None
        self._stop = threading.Event()
        self._inbox_drainer = Worker("inbox-drainer", self._main, self._stop.is_set)

    def begin(self) -> None:
        """Start as a standby."""
        self._standby_intake.start()
        self._open = self._standby_intake

    def lead(self) -> None:
        """Start as the leader. The inbox is folded first. A repeated call does nothing."""
        if self._open is self._engine:
            return
        if self._open is not None:
            self._open = None  # no intake during the switch
            self._standby_intake.stop()
        if self._store.shared:
            self._fold_in()
            self._inbox_drainer.start()
        self._open = self._engine

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Stop, after the sources have stopped. Wait at most ``within`` seconds for each of the two threads."""
        self._stop.set()
        self._inbox_drainer.join(within)
        self._standby_intake.stop(within)

    def offer(self, batch: Batch) -> Future[Receipt]:
        return self._intake.offer(batch)

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        return self._intake.objects(source, after=after, prefix=prefix)

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        return self._intake.objects_told(source, keys)

    def queries(self, source: str) -> Collection[Query]:
        return self._intake.queries(source)

    def readers(self, source: str, reader: str) -> Sequence[str]:
        return self._sharing.readers(source, reader)

    def leave(self, source: str, reader: str) -> None:
        self._sharing.leave(source, reader)

    def parts(self, source: str) -> dict[str, int]:
        return self._intake.parts(source)

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        if self._intake is not self._engine or not self._store.shared:
            return self._intake.claim(source, part, topic_id, start)
        self._fold_in(source)  # most of the inbox first, in separate transactions; the rest with the claim

        def run(tx: Transaction) -> Claimed:
            claimed = partitions.claim(tx.conn, source, part, topic_id, start)
            while inbox.fold_in(tx, source):
                pass
            return claimed

        return self._engine.act(run).result()

    @property
    def _sharing(self) -> Intake:
        """Readers are recorded in separate transactions, on leader and standby alike."""
        return self._standby_intake if self._store.shared else self._intake

    @property
    def _intake(self) -> Intake:
        if self._open is None:
            raise Overloaded(LOOK_EVERY)
        return self._open

    def _fold_in(self, source: str | None = None) -> None:
        while self._engine.act(lambda tx: inbox.fold_in(tx, source)).result():
            beat()

    def _main(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            beat()
            try:
                if self._store.read(inbox.waiting):
                    self._fold_in()
            except StoreError as error:  # the engine reports it
                log.debug("inbox_drainer.waits", error=str(error))
            except Exception:
                log.exception("inbox_drainer.failed")
