"""Which replicas read a source, and how they share its partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kafka import TopicPartition

from retrainer.engine.replication.readers import FORGET, LEASE, leave, renew
from retrainer.sources.kafka.partition_share import share
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

NOW = 1_000_000.0
PARTITIONS = [TopicPartition("orders", number) for number in range(5)]


@pytest.fixture
def conn() -> Iterator[Connection]:
    store = SqliteStore.in_memory()
    with store.write() as conn:
        yield conn
    store.close()


def test_all_that_renew_are_told_the_same(conn: Connection) -> None:
    assert renew(conn, "orders", "b", NOW) == ["b"]
    assert renew(conn, "orders", "a", NOW + 1) == ["a", "b"]
    assert renew(conn, "orders", "b", NOW + 2) == ["a", "b"]


def test_readers_of_another_source_are_others(conn: Connection) -> None:
    renew(conn, "orders", "a", NOW)
    assert renew(conn, "clicks", "b", NOW) == ["b"]


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        pytest.param(LEASE, True, id="within the lease"),
        pytest.param(LEASE + 0.1, False, id="a lease without a renewal"),
        pytest.param(-LEASE - 0.1, False, id="the clock was set back"),
        pytest.param(-2 * FORGET, False, id="the clock was set back by far"),
    ],
)
def test_a_reader_counts_as_long_as_it_renews(conn: Connection, after: float, counts: bool) -> None:
    renew(conn, "orders", "a", NOW)
    assert renew(conn, "orders", "b", NOW + after) == (["a", "b"] if counts else ["b"])
    assert renew(conn, "orders", "a", NOW + after) == ["a", "b"]


def test_a_reader_that_leaves_does_not_count_any_more(conn: Connection) -> None:
    renew(conn, "orders", "a", NOW)
    leave(conn, "orders", "a")
    assert renew(conn, "orders", "b", NOW) == ["b"]


def test_the_rows_of_dead_readers_go(conn: Connection) -> None:
    for number in range(10):
        renew(conn, "orders", f"reader-{number}", NOW + number * (FORGET + 1))
    assert conn.exec_driver_sql("SELECT count(*) FROM readers").scalar_one() == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_each_partition_has_exactly_one_reader_and_nobody_has_two_more_than_another(count: int) -> None:
    readers = [f"reader-{number}" for number in range(count)]
    shares = [share(PARTITIONS, readers, reader) for reader in readers]
    assert sorted(tp for each in shares for tp in each) == PARTITIONS
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_that_is_not_among_the_readers_takes_nothing() -> None:
    assert share(PARTITIONS, ["a", "b"], "c") == []
