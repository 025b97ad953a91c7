"""Several replicas on one PostgreSQL: their combined throughput, and the time without a leader in a takeover."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.daemon import SOURCES, Daemon, firing_rule
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import kafka_sources, matching_rules
from tests.benchmarks.records import PARTITIONS, produce, topic
from tests.integration.conftest import free_ports
from tests.integration.postgres.server import PASSWORD, Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORDS = 300_000
RULES = 100
TICK = 0.05
PATIENCE = 180.0
METHOD = (
    f"{RECORDS:,} JSON records of 300 bytes wait in a topic of {PARTITIONS} partitions on a real broker. So many "
    f"replicas of one daemon, with {RULES} rules of which 3 match each record, share a PostgreSQL 15 (fsync on). From "
    "the moment that each of them holds a partition until all records are decided: in the ledger, out of the inbox. "
    "Broker, database and replicas share the machine. "
)
TAKEN_OVER = (
    "Two replicas share a PostgreSQL 15. From the signal to the one "
    "that has the lead until the database says that the other has it, looked at every 50 ms; the longest of 3."
)


def scale_out() -> list[Figure]:
    """Events a second with one, two and three replicas."""
    found = {count: _decide(count) for count in (1, 2, 3)}
    figures = [
        Figure(f"replicas_{count}_to_decision", one["per_second"], "1/s", METHOD, at_least=True, detail=one)
        for count, one in found.items()
    ]
    figures.append(_bytes(found[1]))
    wrong = sum(one["miscounted"] for one in found.values())
    judged = "Records that the ledger or a matching rule has not exactly once, recounted from what was produced."
    return [*figures, Figure("replicas_miscounted", wrong, "records", METHOD + judged, 0)]


def _bytes(one: dict[str, Any]) -> Figure:
    how = f"{RECORDS:,} JSON records of 300 bytes from Kafka, each counted by 3 of {RULES} rules; one replica. "
    grown = "What the database grew by, with all indexes and what is not vacuumed yet, for each record."
    return Figure("postgres_bytes_per_event", one["bytes_per_record"], "bytes", how + grown)


def takeover() -> list[Figure]:
    """The time without a leader."""
    with postgres_server() as server:
        killed = [_takeover(server, signal.SIGKILL) for _ in range(3)]
        ended = [_takeover(server, signal.SIGTERM) for _ in range(3)]
    return [
        Figure("takeover_after_kill", max(killed), "s", TAKEN_OVER + " SIGKILL.", 17, detail={"each_s": killed}),
        Figure("takeover_after_term", max(ended), "s", TAKEN_OVER + " SIGTERM.", detail={"each_s": ended}),
    ]


@contextmanager
def postgres_server(host: str = "127.0.0.1") -> Iterator[Postgres]:
    """Start a PostgreSQL with fsync on an address of this machine."""
    os.environ |= {"PGPASSWORD": PASSWORD, "POSTGRES_FSYNC": "on"}
    postgres = Postgres(free_ports(19640, 1), host)
    postgres.call("down")
    postgres.call("up")
    try:
        yield postgres
    finally:
        postgres.call("down")


def _replicas(
    folder: Path, server: Postgres, database: str, count: int, rules: list[dict[str, Any]], sources: Mapping[str, Any]
) -> list[Daemon]:
    store = {"url": server.url(database), "password": {"from_env": "PGPASSWORD"}}
    made = []
    for number in range(count):
        own = folder / str(number)
        own.mkdir()
        made.append(Daemon(own, "", rules, sources, store=store))
    return made


def _decide(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, topic() as name, postgres_server() as server:
        produce(name, RECORDS)
        database = server.database()
        empty = _size(server, database)
        replicas = _replicas(Path(folder), server, database, count, matching_rules(RULES), kafka_sources(name))
        try:
            for replica in replicas:
                replica.begin()
            began, first = _await(server, database, lambda: _holders(server, database) >= count)
            ended, last = _await(server, database, lambda: _decided(server, database) >= RECORDS)
            cpu = [round(replica.cpu_seconds(), 1) for replica in replicas]
        finally:
            for replica in replicas:
                replica.kill()
        ledger = server.query(database, "SELECT count(*), count(DISTINCT id) FROM events")[0]
        inputs = server.query(database, "SELECT count(*) FROM inputs")[0][0]
        grown = _size(server, database) - empty
    counted = 3 * RECORDS  # each record matches three rules
    return {
        "replicas": count,
        "per_second": round((last - first) / (ended - began)),
        "of_records": last - first,
        "cpu_s": cpu,
        "bytes_per_record": round(grown / RECORDS),
        "miscounted": abs(RECORDS - ledger[1]) + ledger[0] - ledger[1] + abs(counted - inputs),
    }


def _size(server: Postgres, database: str) -> int:
    """Bytes of the database, with all tables and indexes."""
    return int(server.query(database, "SELECT pg_database_size(current_database())")[0][0])


def _await(server: Postgres, database: str, condition: Any) -> tuple[float, int]:
    """Wait for ``condition``; return when it became true, and how many records were decided by then."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"{_decided(server, database):,} of {RECORDS:,} records after {PATIENCE:g} s")
        time.sleep(TICK)
    return time.monotonic(), _decided(server, database)


def _holders(server: Postgres, database: str) -> int:
    """A lower bound of the replicas that hold a partition: each claim of a partition raises its epoch."""
    return 1 + sum(epoch > 1 for (epoch,) in server.query(database, "SELECT owner_epoch FROM positions"))


def _decided(server: Postgres, database: str) -> int:
    return int(
        server.query(
            database,
            "SELECT (SELECT coalesce(sum(next), 0) FROM positions) - (SELECT coalesce(sum(size), 0) FROM inbox)",
        )[0][0]
    )


def _takeover(server: Postgres, number: signal.Signals) -> float:
    with tempfile.TemporaryDirectory() as folder:
        database = server.database()
        first, second = _replicas(Path(folder), server, database, 2, [firing_rule()], SOURCES)
        try:
            first.begin()
            second.begin()
            epoch = _epoch(server, database)
            began = time.monotonic()
            first.send(number)
            while _epoch(server, database) == epoch:
                time.sleep(TICK)
            return round(time.monotonic() - began, 2)
        finally:
            first.kill()
            second.kill()


def _epoch(server: Postgres, database: str) -> int:
    return int(server.query(database, "SELECT epoch FROM leader")[0][0])
