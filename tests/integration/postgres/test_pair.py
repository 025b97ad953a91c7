"""Two replicas on one PostgreSQL: the standby takes over from the leader; nothing is lost or doubled."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from retrainer.daemon.leadership import LOST
from tests.integration.postgres.pair import Pair, Poster, settled
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.postgres.server import Postgres

TAKEN_OVER = 60.0
"""Seconds that a test waits. The promised time is measured by a benchmark, on an otherwise idle machine."""


def test_one_acts_and_the_other_is_ready_and_can_be_read(pair: Pair) -> None:
    first, second = pair.daemons
    assert first.exit_code is None, first.said()
    assert second.exit_code is None, second.said()
    assert pair.leaders == [first]
    for daemon in pair.daemons:
        assert daemon.http.get("/readyz").status_code == 200
        assert [rule["name"] for rule in daemon.items("rules")] == ["every"]
    answer = first.http.post("/hooks/push", json={"n": 1})
    assert (answer.status_code, answer.json()) == (202, {"outcomes": ["matched"]})
    assert len(second.items("events")) == 1
    answer = second.http.post("/hooks/push", json={"n": 2})
    assert (answer.status_code, answer.json()) == (202, {"outcomes": ["accepted"]})
    until(lambda: len(first.items("events")) == 2, "whoever has the lead judges it")


def test_what_changes_something_is_passed_on_to_whoever_has_the_lead(pair: Pair) -> None:
    first, second = pair.daemons
    headers = {"Idempotency-Key": "once"}
    asked = [d.http.post("/api/v1/rules/every/trigger", json={}, headers=headers) for d in (second, first, second)]
    assert all(answer.is_success for answer in asked), asked[0].text
    assert len({answer.json()["run"]["id"] for answer in asked}) == 1
    assert second.http.post("/api/v1/rules/every/pause", json={"note": "no"}).is_success
    assert first.items("rules")[0]["paused"]
    refused = second.http.post("/api/v1/rules/nobody/pause", json={"note": "no"})
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
    first.stop(signal.SIGKILL)
    answer = second.http.post("/api/v1/rules/every/pause", json={"note": "no"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    until(lambda: second.http.post("/api/v1/rules/every/resume", json={}).is_success, "it acts itself", TAKEN_OVER)


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="asked to end")],
)
def test_the_other_takes_over(pair: Pair, number: signal.Signals) -> None:
    first, second = pair.daemons
    poster = Poster(pair)
    poster.more(30)
    first.stop(number)
    until(lambda: pair.leaders == [second], "the other has the lead", TAKEN_OVER)
    poster.more(30)
    first.start()
    assert pair.leaders == [second]
    accepted = poster.stop()
    settled(pair, accepted)


def test_one_that_is_frozen_and_thawed_is_fenced_out_and_ends(pair: Pair) -> None:
    """The leader is frozen in the middle of its work. After it is thawed, the store rejects its writes."""
    first, second = pair.daemons
    poster = Poster(pair)
    poster.more(30)
    first.send(signal.SIGSTOP)
    until(lambda: pair.epoch == 2, "the other has the lead", TAKEN_OVER)
    poster.more(30, TAKEN_OVER)
    first.send(signal.SIGCONT)
    assert first.died() == LOST
    assert "another daemon took over" in first.said()
    poster.more(30)
    first.start()
    assert pair.leaders == [second]
    settled(pair, poster.stop())


@pytest.mark.parametrize("fault", ["stop", "kill"])
def test_a_server_that_restarts_leaves_one_that_acts(pair: Pair, postgres: Postgres, fault: str) -> None:
    poster = Poster(pair)
    poster.more(30)
    postgres.call(fault)
    until(lambda: pair.daemons[0].http.get("/readyz").status_code == 503, "it is not ready any more")
    assert pair.daemons[0].metric("retrainer_store_writable") == 0.0
    postgres.call("start")
    poster.more(30, TAKEN_OVER)
    until(lambda: len(pair.leaders) == 1, "one has the lead", TAKEN_OVER)
    accepted = poster.stop()
    settled(pair, accepted)
    for daemon in pair.daemons:
        assert "not-so-secret" not in daemon.said()
