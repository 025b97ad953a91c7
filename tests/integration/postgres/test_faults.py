"""Faults of the server: the engine loses nothing, counts nothing twice, and recovers without intervention."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import pytest

from retrainer.event import Event
from retrainer.sources.base import Batch
from retrainer.store.postgres import PostgresStore
from tests.houses.engine import RunningEngine
from tests.integration.postgres.proxy import Proxy
from tests.integration.postgres.server import Postgres
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from retrainer.sources.base import Receipt

SOURCES = {"push": {"type": "webhook", "path": "/hooks/push"}}
RULE = {
    "name": "r",
    "triggers": {"new": {"data": {"source": "push", "batch": {"at_least": {"events": 1000000}}}}},
    "submit": {"workflow_template": "train"},
}


@pytest.fixture
def house(postgres: Postgres, database: str, proxy: Proxy, tmp_path: Path) -> Iterator[RunningEngine]:
    url = postgres.url(database, proxy.port)
    house = RunningEngine(tmp_path, max_queue=100_000, build=lambda _: PostgresStore.open(url))
    house.load(SOURCES, [RULE])
    yield house
    house.close()


def offer(house: RunningEngine, number: int) -> Future[Receipt]:
    event = Event("push", f"e{number}", "t", house.clock.now(), {"n": number}, f"s{number}")
    return house.engine.offer(Batch("push", [event], identity_window=3600))


def counted(house: RunningEngine) -> list[str]:
    return [subject for _, subject in house.counted()]


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("before", id="the server never hears of the commit"),
        pytest.param("after", id="the answer to the commit is lost"),
    ],
)
def test_a_line_cut_at_a_commit_settles_it_exactly_once(
    house: RunningEngine, proxy: Proxy, when: Literal["before", "after"]
) -> None:
    assert offer(house, 1).result(30).outcomes == ["matched"]
    proxy.cut(when)
    assert offer(house, 2).result(30).outcomes == ["matched"]
    assert proxy.cuts == 1
    assert offer(house, 3).result(30).outcomes == ["matched"]
    assert counted(house) == ["s1", "s2", "s3"]
    assert [row[0] for row in house.query("SELECT seq FROM events ORDER BY seq")] == [1, 2, 3]
    assert house.outcomes == {"matched": 3}


Fault = Callable[[Postgres, str, Proxy], None]
FAULTS: dict[str, tuple[Fault, Fault]] = {
    "the server is stopped": (lambda p, *_: p.call("stop"), lambda p, *_: p.call("start")),
    "the server is killed": (lambda p, *_: p.call("kill"), lambda p, *_: p.call("start")),
    "the server is frozen": (lambda p, *_: p.call("freeze"), lambda p, *_: p.call("thaw")),
    "the route is dropped": (lambda _, __, proxy: proxy.hush(True), lambda _, __, proxy: proxy.hush(False)),
    "the server is a standby": (
        lambda p, d, _: set_read_only(p, d, "on"),
        lambda p, d, _: set_read_only(p, d, "off"),
    ),
}


def set_read_only(postgres: Postgres, database: str, to: str) -> None:
    """Make the server read-only, like a former primary after a failover."""
    with postgres.connect() as admin:
        admin.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {to}")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])


@pytest.mark.parametrize("fault", FAULTS)
def test_what_comes_meanwhile_waits_and_is_acknowledged_once_it_is_stored(
    house: RunningEngine, postgres: Postgres, database: str, proxy: Proxy, fault: str
) -> None:
    """The server becomes unavailable under load. Events that were acknowledged before are there afterwards."""
    begin, end = FAULTS[fault]
    stop = threading.Event()
    sent: list[Future[Receipt]] = []

    def load() -> None:
        while not stop.wait(0.002):
            sent.append(offer(house, len(sent) + 1))

    loader = threading.Thread(target=load)
    loader.start()
    until(lambda: sum(future.done() for future in sent) > 20, "events are stored")
    begin(postgres, database, proxy)
    until(lambda: house.engine.trouble, "the engine says that it cannot write")
    acknowledged = sum(future.done() for future in sent)
    until(lambda: len(sent) > acknowledged + 20, "more comes")
    stop.set()
    loader.join()
    assert sum(future.done() for future in sent) == acknowledged
    assert "127.0.0.1" in house.engine.trouble
    assert "not-so-secret" not in house.engine.trouble
    end(postgres, database, proxy)
    assert all(future.result(60).outcomes == ["matched"] for future in sent)
    assert not house.engine.trouble
    assert counted(house) == [f"s{number}" for number in range(1, len(sent) + 1)]


SQLSTATES = ("40001", "40P01", "57P01", "53100", "55P03", "57014", "25P03")


@pytest.mark.parametrize("state", SQLSTATES)
def test_an_error_that_passes_lets_the_transaction_be_tried_again(
    house: RunningEngine, postgres: Postgres, database: str, state: str
) -> None:
    """The server raises the error once, in the middle of a transaction: a rollback does not reset a sequence."""
    with postgres.connect(database) as admin:
        admin.execute("CREATE SEQUENCE tries")
        admin.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF nextval('tries') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = '{state}'; END IF; "
            "RETURN NEW; END $$"
        )
        admin.execute("CREATE TRIGGER once BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail()")
    assert offer(house, 1).result(30).outcomes == ["matched"]
    assert counted(house) == ["s1"]
    assert postgres.query(database, "SELECT last_value FROM tries")[0][0] == 2


def test_an_event_that_the_server_refuses_is_a_dead_letter_and_the_others_of_its_transaction_go_on(
    house: RunningEngine, postgres: Postgres, database: str
) -> None:
    with postgres.connect(database) as admin:
        admin.execute("ALTER TABLE events ADD CONSTRAINT no_seven CHECK (id <> 'e7')")
    events = [Event("push", f"e{n}", "t", house.clock.now(), {}, f"s{n}") for n in (6, 7, 8)]
    outcomes = house.engine.offer(Batch("push", events)).result(30).outcomes
    assert outcomes == ["matched", "dead_lettered", "matched"]
    assert offer(house, 9).result(30).outcomes == ["matched"]
    assert counted(house) == ["s6", "s8", "s9"]
    ((name, error),) = postgres.query(database, "SELECT event, error FROM dead_letters")
    assert (name, "no_seven" in error) == ("e7", True)


def test_what_the_server_has_no_room_for_stops_nothing(house: RunningEngine) -> None:
    """PostgreSQL text cannot hold NUL, and its indexes cannot hold long values."""
    by_name = {
        "name": "named",
        "triggers": {"new": {"data": {"source": "push", "distinct_by": "event.data.name"}}},
        "for_each": {"by": {"new": "event.data.key"}},
        "submit": {"workflow_template": "train"},
    }
    house.load(SOURCES, [RULE, by_name])
    events = [
        Event("push", "e1", "t\0", house.clock.now(), {"name": "a\0", "key": "k\0"}, "s\0"),
        Event("push", "e2", "t", house.clock.now(), {"name": "é" * 1999, "key": "k"}, "s2"),
        Event("push", "e3", "t", house.clock.now(), {"name": "a", "key": "k"}, "s3"),
    ]
    outcomes = house.engine.offer(Batch("push", events, identity_window=3600)).result(30).outcomes
    assert outcomes == ["matched"] * 3
    assert sorted(house.counted()) == [("named", "s2"), ("named", "s3"), ("r", "s2"), ("r", "s3"), ("r", "s\u2400")]
    assert ["a key is a text" in error for error in house.errors()] == [True]
