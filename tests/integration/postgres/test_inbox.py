"""Several replicas take in events and one decides: it folds in what the others stored once, in order."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.replication.intake_router import IntakeRouter
from retrainer.engine.replication.standby_intake import StandbyIntake
from retrainer.event import Event, Poison
from retrainer.sources.base import Batch, OffsetRange, PositionLost
from retrainer.store.postgres import PostgresStore
from retrainer.util.clock import SystemClock
from tests.houses.engine import RunningEngine, configured
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.postgres.server import Postgres

RULE = {
    "name": "batch",
    "triggers": {"data": {"data": {"source": "topic", "batch": {"at_least": {"events": 5}}}}},
    "submit": {"workflow_template": "train"},
}


class Replica:
    """A store, an engine and an intake router, as in a daemon."""

    def __init__(self, url: str) -> None:
        self.running = RunningEngine(Path(), max_queue=0, build=lambda _: PostgresStore.open(url), leads=False)
        self.store, self.engine = self.running.store, self.running.engine
        self.gate = IntakeRouter(
            self.engine, StandbyIntake(self.store, SystemClock(), lambda: self.engine.catalog, 0), self.store
        )

    def stand_by(self) -> None:
        self.gate.begin()

    def lead(self) -> None:
        self.running.lead()
        self.engine.switch(configured([RULE]))
        self.gate.lead()

    def stop(self) -> None:
        self.gate.stop()
        self.running.close()


@contextmanager
def replicas(url: str, count: int) -> Iterator[list[Replica]]:
    started = [Replica(url) for _ in range(count)]
    try:
        yield started
    finally:
        for replica in started:
            replica.stop()


def events(first: int, count: int) -> list[Event | Poison]:
    return [Event("topic", f"e{n}", "record", 1.79e9 + n, {"n": n}) for n in range(first, first + count)]


def offsets(epoch: int, begin: int, following: int) -> OffsetRange:
    return OffsetRange("orders/0", epoch, begin, following)


@pytest.fixture
def ledger(postgres: Postgres, database: str) -> Any:
    return lambda: [row[0] for row in postgres.query(database, "SELECT id FROM events ORDER BY seq")]


def test_what_a_standby_took_in_is_decided_by_the_leader(postgres: Postgres, database: str, ledger: Any) -> None:
    with replicas(postgres.url(database), 2) as (leader, standby):
        leader.lead()
        standby.stand_by()
        epoch = standby.gate.claim("topic", "orders/0", "t", 0).epoch
        poison = Poison("topic", "orders/0/3", b"\xff", "not JSON")
        first = standby.gate.offer(Batch("topic", [*events(0, 3), poison], 0.0, offsets=offsets(epoch, 0, 4)))
        second = standby.gate.offer(Batch("topic", events(4, 2), 0.0, offsets=offsets(epoch, 4, 6)))
        assert list(first.result(10).outcomes) == ["accepted"] * 4
        assert list(second.result(10).outcomes) == ["accepted"] * 2
        until(lambda: len(ledger()) == 5, "both batches in the ledger")
        assert ledger() == ["e0", "e1", "e2", "e4", "e5"]
        assert postgres.query(database, "SELECT phase FROM runs") == [("PENDING",)]
        assert postgres.query(database, "SELECT error FROM dead_letters") == [("not JSON",)]
        assert postgres.query(database, "SELECT count(*) FROM inbox") == [(0,)]


def test_a_part_that_changed_hands_takes_nothing_more_from_its_old_holder(
    postgres: Postgres, database: str, ledger: Any
) -> None:
    with replicas(postgres.url(database), 2) as (leader, standby):
        leader.lead()
        standby.stand_by()
        old = standby.gate.claim("topic", "orders/0", "t", 0).epoch
        new = leader.gate.claim("topic", "orders/0", "t")
        late = standby.gate.offer(Batch("topic", events(0, 2), 0.0, offsets=offsets(old, 0, 2)))
        with pytest.raises(PositionLost):
            late.result(10)
        leader.gate.offer(Batch("topic", events(0, 2), 0.0, offsets=offsets(new.epoch, 0, 2))).result(10)
        assert ledger() == ["e0", "e1"]


def test_what_the_old_holder_stored_is_folded_in_before_the_new_one_goes_on(
    postgres: Postgres, database: str, ledger: Any
) -> None:
    """The standby's batch waits while there is no leader. Then the partition moves to the new leader."""
    with replicas(postgres.url(database), 2) as (later, standby):
        standby.stand_by()
        epoch = standby.gate.claim("topic", "orders/0", "t", 0).epoch
        standby.gate.offer(Batch("topic", events(0, 3), 0.0, offsets=offsets(epoch, 0, 3))).result(10)
        assert ledger() == []
        later.lead()
        claimed = later.gate.claim("topic", "orders/0", "t")
        assert claimed.next == 3
        later.gate.offer(Batch("topic", events(3, 2), 0.0, offsets=offsets(claimed.epoch, 3, 5))).result(10)
        assert ledger() == ["e0", "e1", "e2", "e3", "e4"]


def test_a_standby_that_takes_the_lead_folds_in_what_it_had_accepted(
    postgres: Postgres, database: str, ledger: Any
) -> None:
    with replicas(postgres.url(database), 1) as (replica,):
        replica.stand_by()
        waiting = [replica.gate.offer(Batch("topic", events(n, 1))) for n in range(50)]
        replica.lead()
        for future in waiting:
            assert list(future.result(10).outcomes) == ["accepted"]
        assert ledger() == [f"e{n}" for n in range(50)]


def test_a_repeat_is_known_whoever_takes_it_in(postgres: Postgres, database: str, ledger: Any) -> None:
    with replicas(postgres.url(database), 2) as (leader, standby):
        leader.lead()
        standby.stand_by()
        leader.gate.offer(Batch("topic", events(0, 1))).result(10)
        standby.gate.offer(Batch("topic", events(0, 2))).result(10)
        until(lambda: postgres.query(database, "SELECT count(*) FROM inbox") == [(0,)], "an empty inbox")
        assert ledger() == ["e0", "e1"]
