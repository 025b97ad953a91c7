"""Leader election, turn by turn, with a manual clock. The lease in the store is moved instead of awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.daemon.leadership import Lead
from retrainer.simulate.world import ManualClock
from retrainer.store.leader_lease import LEASE
from retrainer.store.postgres import PostgresStore
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.postgres.proxy import Proxy
    from tests.integration.postgres.server import Postgres

START = 1_800_000_000.0


class Candidate:
    """One daemon. The test triggers its turns."""

    def __init__(self, url: str, name: str) -> None:
        self.clock = ManualClock(START)
        self.store = PostgresStore.open(url)
        self.begun = 0
        self.lost: list[str] = []
        self.lead = Lead(self.store, self.clock, lambda: f"http://{name}", self._begin, self.lost.append)

    def _begin(self) -> None:
        self.begun += 1

    def turn(self) -> bool:
        return self.lead.turn()


@pytest.fixture
def candidate(postgres: Postgres, database: str, proxy: Proxy) -> Iterator[Callable[[str], Candidate]]:
    """The candidate named `cut off` connects to the store through the proxy."""
    made: list[Candidate] = []

    def build(name: str) -> Candidate:
        made.append(Candidate(postgres.url(database, proxy.port if name == "cut off" else None), name))
        return made[-1]

    yield build
    for one in made:
        one.store.close()


@pytest.fixture
def move_lease(postgres: Postgres, database: str) -> Callable[[float], None]:
    """Let the lease end in ``seconds`` from now, by the clock of the database."""

    def move(seconds: float) -> None:
        with postgres.connect(database) as admin:
            admin.execute("UPDATE leader SET lease_until = extract(epoch from clock_timestamp()) + %s", [seconds])

    return move


def test_the_first_has_it_and_nobody_else_while_it_says_a_word(candidate: Callable[[str], Candidate]) -> None:
    first, second = candidate("first"), candidate("second")
    assert first.lead.take()
    assert not second.lead.take()
    for _ in range(3):
        assert first.turn()
        assert second.turn()
    assert (first.lead.sure, second.lead.sure) == (True, False)
    assert second.store.leader() == "http://first"
    assert (first.lost, second.begun) == ([], 0)


LEASES = [
    pytest.param(-0.01, True, id="it has run out"),
    pytest.param(LEASE - 1, False, id="it has not"),
    pytest.param(2 * LEASE - 1, False, id="the clocks of two servers differ a little"),
    pytest.param(3600, True, id="the database's clock was set back by an hour"),
]


@pytest.mark.parametrize(("ends_in", "taken"), LEASES)
def test_a_lease_is_taken_over_once_it_has_run_out(
    candidate: Callable[[str], Candidate], move_lease: Callable[[float], None], ends_in: float, taken: bool
) -> None:
    first, second = candidate("first"), candidate("second")
    assert first.lead.take()
    move_lease(ends_in)
    assert second.turn()
    assert second.lead.held == taken
    until(lambda: second.begun == taken, "it begins")
    assert second.store.undisputed is False


def test_one_that_was_taken_over_finds_out_at_its_next_turn(
    candidate: Callable[[str], Candidate], move_lease: Callable[[float], None]
) -> None:
    first, second, third = candidate("first"), candidate("second"), candidate("third")
    assert first.lead.take()
    move_lease(-1)
    assert second.turn()
    assert not third.lead.take()
    until(lambda: not first.turn(), "once it has a new line, as its own was ended, it knows")
    assert "another daemon took over" in first.lost[0]
    assert not first.lead.sure
    assert second.turn()
    assert second.lead.sure


def test_who_gives_it_away_is_followed_at_once(candidate: Callable[[str], Candidate]) -> None:
    first, second = candidate("first"), candidate("second")
    assert first.lead.take()
    first.lead.stop()
    assert second.lead.take()
    assert second.store.undisputed


def test_whoever_gets_no_answer_says_so_and_is_not_sure_after_a_lease(
    candidate: Callable[[str], Candidate], proxy: Proxy
) -> None:
    first = candidate("cut off")
    assert first.lead.take()
    assert first.turn()
    proxy.hush(True)
    first.store.hurry()
    assert first.turn(), "it may still have it"
    assert "has not answered for" in first.lead.trouble
    first.clock.time += LEASE - 1
    assert first.lead.sure
    first.clock.time += 2
    assert not first.lead.sure
    assert first.lead.held
    proxy.hush(False)
    assert first.turn()
    assert first.lead.sure, "nobody took it meanwhile"
    assert first.lead.trouble == ""


def test_to_a_store_that_is_silent_nothing_is_said_at_the_end(
    candidate: Callable[[str], Candidate], move_lease: Callable[[float], None], proxy: Proxy
) -> None:
    first, second = candidate("cut off"), candidate("second")
    assert first.lead.take()
    proxy.hush(True)
    first.store.hurry()
    assert first.turn()
    first.lead.stop()
    assert not second.lead.take(), "its lease lasts"
    move_lease(-1)
    assert second.lead.take()


def test_who_is_content_does_not_take_it(candidate: Callable[[str], Candidate]) -> None:
    one = candidate("one")
    assert not one.lead.settle()
    assert one.turn()
    assert not one.lead.held
