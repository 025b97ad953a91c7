"""Backfills over the API: the calls to the daemon, and the responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.schedules.backfills import BackfillOrder

if TYPE_CHECKING:
    import httpx

    from tests.unit.api.daemon import Daemon

PATH = "/api/v1/rules/churn/backfills"
WANTED: dict[str, Any] = {"from": "2025-11-21", "to": "2025-11-24", "key": "de", "parameters": {"depth": "5"}}


def test_what_is_wanted_reaches_the_daemon_whole(client: httpx.Client, daemon: Daemon) -> None:
    more = {"trigger": "nightly", "rerun": True, "by": "anna"}
    answer = client.post(PATH, json={**WANTED, **more}, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 200, answer.text
    order = BackfillOrder("churn", "de", "2025-11-21", "2025-11-24", "nightly", {"depth": "5"}, rerun=True, by="anna")
    assert daemon.asked == [("backfill", order, "k1")]
    told = answer.json()
    assert (told["request"], told["count"], told["last_start"]) == ("B1", 2, "2025-11-24T18:00:00.000Z")
    assert told["slots"][1] == {
        "trigger": "nightly",
        "slot": "2025-11-22T16:00:00.000Z",
        "runs": False,
        "why": "ran: SUCCEEDED",
        "run": None,
    }


def test_a_dry_run_asks_for_nothing(client: httpx.Client, daemon: Daemon) -> None:
    told = client.post(PATH, json={**WANTED, "key": "paused", "dry_run": True}).json()
    assert (told["request"], told["held"]["reason"], daemon.asked) == (None, "paused", [])


REFUSED = [
    pytest.param({"to": "2025-11-24"}, 422, "body.from", id="without a beginning"),
    pytest.param({**WANTED, "from": "yesterday"}, 422, "'yesterday' is not a time: write a date", id="no time"),
    pytest.param({**WANTED, "trigger": "weekly"}, 409, "has no schedule 'weekly'", id="no such schedule"),
    pytest.param({**WANTED, "force": True}, 422, "body.force", id="an unknown field"),
]


@pytest.mark.parametrize(("body", "status", "words"), REFUSED)
def test_refusals_are_problems(client: httpx.Client, body: dict[str, Any], status: int, words: str) -> None:
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]


def test_how_far_it_is(client: httpx.Client) -> None:
    told = client.get(PATH, params={"key": "de"}).json()
    assert (told["waiting"], told["running"], told["ended"]) == (1, 1, False)
    assert [slot["state"] for slot in told["slots"]] == ["running", "waiting"]
    missing = client.get(PATH, params={"request": "B2"})
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is no backfill B2 of churn")


def test_what_has_not_started_is_withdrawn(client: httpx.Client, daemon: Daemon) -> None:
    told = client.delete(PATH, params={"key": "de"}).json()
    assert told == {"rule": "churn", "key": "de", "dropped": 5, "cancelled": 1}
    assert daemon.asked == [("withdraw", "de")]
    assert client.delete("/api/v1/rules/nope/backfills").status_code == 404


def test_runs_by_hand_that_have_not_started_are_withdrawn(client: httpx.Client, daemon: Daemon) -> None:
    told = client.delete("/api/v1/rules/churn/trigger", params={"key": "de"}).json()
    assert told == {"rule": "churn", "key": "de", "dropped": 1, "cancelled": 2}
    assert daemon.asked == [("withdraw by hand", "de")]
    assert client.delete("/api/v1/rules/nope/trigger").status_code == 404


def test_who_asked_for_a_run_is_told(client: httpx.Client, daemon: Daemon) -> None:
    client.post("/api/v1/rules/churn/trigger", json={"key": "de", "by": "anna"})
    assert daemon.by == "anna"
