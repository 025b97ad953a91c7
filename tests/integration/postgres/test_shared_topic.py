"""A topic read by two replicas on one PostgreSQL: each record is counted once, whichever replica is killed."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.integration.kafka.judge import judge
from tests.integration.kafka.kit import NAME, kafka, numbered, rule
from tests.integration.postgres.pair import Pair, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.broker import Broker
    from tests.integration.postgres.server import Postgres

EACH = 10
"""Records every 50 ms."""
FIRES_EVERY = 500
PARTITIONS = 4


class Load:
    """Produces numbered records until `end`."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.produced = 0
        self._broker, self._topic = broker, topic
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self._broker.produce(self._topic, numbered(range(self.produced, self.produced + EACH)))
            self.produced += EACH

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.produced


@pytest.fixture
def topic(broker: Broker) -> str:
    return broker.create_topic(partitions=PARTITIONS)


@pytest.fixture
def pair(postgres: Postgres, database: str, tmp_path: Path, broker: Broker, topic: str) -> Iterator[Pair]:
    yield from started(Pair(postgres, database, tmp_path, {NAME: kafka(broker, topic)}, [rule(FIRES_EVERY)]))


def stored(pair: Pair) -> int:
    """The number of records whose position is stored and that do not wait in the inbox."""
    # One statement: the standby stores a batch in the inbox in the transaction that moves its position.
    query = "SELECT coalesce(sum(next), 0) FROM positions WHERE NOT EXISTS (SELECT 1 FROM inbox)"
    return int(pair.query(query)[0][0])


def claims(pair: Pair) -> int:
    return int(pair.query("SELECT coalesce(sum(owner_epoch), 0) FROM positions")[0][0])


def test_each_record_is_counted_once_whoever_dies(pair: Pair, broker: Broker, topic: str) -> None:
    first, second = pair.daemons
    until(lambda: claims(pair) > PARTITIONS, "the second has taken some partitions over", 60)
    load = Load(broker, topic)
    try:
        for leader, other, number in ((first, second, signal.SIGKILL), (second, first, signal.SIGTERM)):
            before = stored(pair)
            until(lambda: stored(pair) > before, "records are counted", 60)  # noqa: B023
            leader.stop(number)
            until(lambda: pair.leaders == [other], "the other has the lead", 60)  # noqa: B023
            before = stored(pair)
            until(lambda: stored(pair) > before, "it counts", 60)  # noqa: B023
            had = claims(pair)
            leader.start()
            until(lambda: claims(pair) > had, "the one that came back has partitions", 60)  # noqa: B023
    finally:
        produced = load.end()
    until(lambda: stored(pair) >= produced, "all is stored", 60)
    verdict = judge(pair.query, set(range(produced)))
    assert verdict.wrong == 0, verdict
    assert set(verdict.sizes) == {FIRES_EVERY}
