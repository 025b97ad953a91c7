"""Failover to a standby: with synchronous replication nothing is lost; without it nothing is invented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.daemon.leadership import LOST
from retrainer.event import Event
from retrainer.sources.base import Batch
from retrainer.store.base import StoreLostError
from retrainer.store.postgres import PostgresStore
from tests.houses.engine import RunningEngine
from tests.integration.conftest import free_ports
from tests.integration.postgres.conftest import alone
from tests.integration.postgres.pair import RULES, SOURCES, Pair, Poster, settled
from tests.integration.postgres.server import USER, Postgres
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Cluster(Postgres):
    """A primary and its standby. `port` is the primary's. ``synchronous``: a commit waits for both."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.standby = Postgres(port + 1)
        self._ports = (port, port + 1)

    def up(self, *, synchronous: bool) -> None:
        self.call("up")
        self.standby.call("follow", POSTGRES_PRIMARY=str(self.port))
        if synchronous:
            with self.connect() as admin:
                admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                admin.execute("SELECT pg_reload_conf()")
            until(self._in_step, "the standby is synchronous")

    def _in_step(self) -> bool:
        with self.connect() as admin:
            return admin.execute("SELECT sync_state FROM pg_stat_replication").fetchall() == [("sync",)]

    def standby_has_all(self) -> bool:
        with self.connect() as admin:
            query = "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication"
            return admin.execute(query).fetchall() == [(True,)]

    def fail_over(self) -> None:
        self.call("kill")
        self.standby.call("promote")
        self.port = self.standby.port

    def down(self) -> None:
        for port in self._ports:
            Postgres(port).call("down")

    def url(self, database: str, port: int | None = None) -> str:
        hosts = "&".join(f"host={self.host}:{one}" for one in self._ports)
        return f"postgresql+psycopg://{USER}@/{database}?{hosts}&target_session_attrs=read-write"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with alone():
        cluster = Cluster(free_ports(19740, 2))
        cluster.down()
        cluster.call("build")
    yield cluster
    cluster.down()


def test_with_a_synchronous_standby_nothing_is_lost_and_nothing_doubled(cluster: Cluster, tmp_path: Path) -> None:
    cluster.up(synchronous=True)
    pair = Pair(cluster, cluster.database(), tmp_path)
    try:
        for daemon in pair.daemons:
            daemon.start()
        poster = Poster(pair)
        poster.more(60)
        cluster.fail_over()
        poster.more(60, 60)
        until(lambda: len(pair.leaders) == 1, "one has the lead", 60)
        settled(pair, poster.stop())
        assert [daemon.exit_code for daemon in pair.daemons].count(LOST) <= 1
    finally:
        pair.close()


def test_one_whose_store_went_back_writes_nothing_that_it_remembers(cluster: Cluster, tmp_path: Path) -> None:
    """The standby lagged: acknowledged writes are lost, and so is the engine's state that was based on them."""
    cluster.up(synchronous=False)
    url = cluster.url(cluster.database())
    house = RunningEngine(tmp_path, build=lambda _: PostgresStore.open(url))
    try:
        house.load(SOURCES, RULES)
        assert offer(house, 1) == ["matched"]
        until(cluster.standby_has_all, "the standby has the first")
        cluster.standby.call("stop")
        assert offer(house, 2) == ["matched"]
        cluster.call("kill")
        cluster.standby.call("start")
        cluster.fail_over()
        with pytest.raises(StoreLostError, match="in an earlier state"):
            offer(house, 3)
        with pytest.raises(StoreLostError, match="in an earlier state"):
            house.store.renew("http://here")
        house.restart()
        house.load(SOURCES, RULES)
        assert offer(house, 2) == ["matched"], "whoever sends it again finds it forgotten"
        assert offer(house, 1) == ["duplicate"]
        assert [subject for _, subject in house.counted()] == ["s1", "s2"]
    finally:
        house.close()


def offer(house: RunningEngine, number: int) -> Any:
    event = Event("push", f"e{number}", "t", house.clock.now(), {"n": number}, f"s{number}")
    return list(house.engine.offer(Batch("push", [event], identity_window=3600)).result(60).outcomes)
