"""A store that does not answer on connections that look intact: every wait has a limit."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from retrainer.daemon.leadership import LOST
from tests.integration.postgres.pair import Pair, Poster, settled, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres.proxy import Proxy
    from tests.integration.postgres.server import Postgres
    from tests.integration.s3.daemon import Daemon

TAKEN_OVER = 60.0


@pytest.fixture
def pair(postgres: Postgres, database: str, proxy: Proxy, tmp_path: Path) -> Iterator[Pair]:
    """The first daemon is leader and connects to the store through the proxy."""
    yield from started(Pair(postgres, database, tmp_path, first_port=proxy.port))


def says_why(daemon: Daemon) -> bool:
    answer = daemon.http.get("/readyz")
    silent = "has not answered for" in answer.text or "timeout expired" in answer.text
    return answer.status_code == 503 and silent


def test_one_whose_route_is_dropped_is_followed_by_the_other_and_ends_once_it_knows(pair: Pair, proxy: Proxy) -> None:
    first, second = pair.daemons
    poster = Poster(pair)
    poster.more(30)
    proxy.hush(True)
    until(lambda: pair.epoch == 2, "the other has the lead", TAKEN_OVER)
    poster.more(30, TAKEN_OVER)
    until(lambda: says_why(first), "it is not ready and says why")
    assert first.http.get("/healthz").status_code == 200
    until(lambda: first.metric("retrainer_leader") == 0.0, "it does not claim to have the lead")
    assert first.metric("retrainer_store_writable") == 0.0
    proxy.hush(False)
    assert first.died() == LOST
    assert "another daemon took over" in first.said()
    first.start()
    poster.more(30)
    assert pair.leaders == [second]
    settled(pair, poster.stop())


def test_one_that_is_asked_to_end_during_a_silence_ends(pair: Pair, proxy: Proxy) -> None:
    first, second = pair.daemons
    poster = Poster(pair)
    poster.more(30)
    proxy.hush(True)
    first.stop(signal.SIGTERM)
    assert first.exit_code == 0
    assert "daemon.stopped" in first.said()
    proxy.hush(False)
    until(lambda: pair.leaders == [second], "the other has the lead", TAKEN_OVER)
    first.start()
    poster.more(30)
    settled(pair, poster.stop())


def test_both_end_when_they_are_asked_to_while_the_server_is_frozen(pair: Pair, postgres: Postgres) -> None:
    poster = Poster(pair)
    poster.more(30)
    postgres.call("freeze")
    until(lambda: all(says_why(daemon) for daemon in pair.daemons), "neither is ready", TAKEN_OVER)
    for daemon in pair.daemons:
        daemon.stop(signal.SIGTERM)
        assert daemon.exit_code == 0
    postgres.call("thaw")
    for daemon in pair.daemons:
        daemon.start()
    poster.more(30, TAKEN_OVER)
    settled(pair, poster.stop())


def test_a_frozen_server_that_thaws_finds_one_that_acts(pair: Pair, postgres: Postgres) -> None:
    poster = Poster(pair)
    poster.more(30)
    postgres.call("freeze")
    until(lambda: all(says_why(daemon) for daemon in pair.daemons), "neither is ready", TAKEN_OVER)
    assert all(daemon.http.get("/healthz").status_code == 200 for daemon in pair.daemons)
    postgres.call("thaw")
    poster.more(30, TAKEN_OVER)
    for daemon in pair.daemons:
        if daemon.exit_code == LOST:
            daemon.start()
    until(lambda: len(pair.leaders) == 1, "one has the lead", TAKEN_OVER)
    settled(pair, poster.stop())
