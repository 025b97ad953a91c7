"""The keys of a rule, and its pending data, on a real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.houses.daemon_in_process import DaemonInProcess, template

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push, id: data.id}}
rules:
  - name: keyed
    for_each: {by: {d: event.data.user}}
    triggers: {d: {data: {source: push, match: {kind: file}, batch: {at_least: {events: 2}, max_wait: 2d}}}}
    submit: train
  - name: plain
    triggers:
      d: {data: {source: push, batch: {at_least: {events: 9}}}}
      s: {schedule: {cron: "0 3 1 1 *"}}
    submit: train
"""
TEMPLATE = template("train", "echo", "trained")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path_factory.mktemp("house"), RULES, TEMPLATE)
    for n, (kind, user) in enumerate([("file", "anna"), ("file", "anton"), ("other", "anna"), ("file", "berta")]):
        made.http.post("/hooks/push", json={"id": str(n), "kind": kind, "user": user, "size": 10}).raise_for_status()
    yield made
    made.close()


def got(house: DaemonInProcess, path: str, **query: Any) -> dict[str, Any]:
    answer = house.http.get(f"/api/v1/rules/{path}", params=query)
    answer.raise_for_status()
    return dict(answer.json())


def test_a_key_has_its_verdict_and_what_is_pending(house: DaemonInProcess) -> None:
    (anna,) = got(house, "keyed/keys", prefix="anna")["items"]
    assert (anna["key"], anna["reason"], anna["pending_events"]) == ("anna", "batch_incomplete", 1)
    assert anna["verdict"] == house.http.post("/api/v1/rules/keyed/explain", json={"key": "anna"}).json()["verdict"]
    assert anna["pending_since"] == anna["touched_at"]
    assert anna["last_run"] is None


def test_keys_are_found_by_how_they_begin_page_by_page(house: DaemonInProcess) -> None:
    first = got(house, "keyed/keys", prefix="an", limit=1)
    assert ([one["key"] for one in first["items"]], first["next"]) == (["anna"], "anna")
    rest = got(house, "keyed/keys", prefix="an", cursor=first["next"])
    assert ([one["key"] for one in rest["items"]], rest["next"]) == (["anton"], None)
    assert got(house, "keyed/keys", prefix="x")["items"] == []
    assert "berta" in [one["key"] for one in got(house, "keyed/keys", limit=1000)["items"]]


def test_what_is_pending_of_each_trigger_and_what_it_waits_for(house: DaemonInProcess) -> None:
    (d,) = got(house, "keyed/pending", key="anna")["triggers"]
    assert (d["trigger"], d["source"], d["events"], d["bytes"], d["complete"]) == ("d", "push", 1, 10, False)
    assert (d["reason"], d["detail"]) == ("batch_incomplete", "1 of 2 events so far")
    assert d["until"][:10] > d["oldest_at"][:10]
    assert got(house, "plain/pending")["events"] == 4
    nothing = got(house, "keyed/pending", key="nobody")
    assert (nothing["events"], nothing["triggers"][0]["oldest_at"]) == (0, None)


def test_pending_events_are_those_of_the_key_the_oldest_first(house: DaemonInProcess) -> None:
    anna = got(house, "keyed/pending/events", key="anna")
    assert [(one["data"]["kind"], one["data"]["user"]) for one in anna["items"]] == [("file", "anna")]
    first = got(house, "plain/pending/events", limit=3)
    rest = got(house, "plain/pending/events", cursor=first["next"])
    assert [one["data"]["id"] for one in (*first["items"], *rest["items"])] == ["0", "1", "2", "3"]
    assert got(house, "keyed/pending/events", key="nobody")["items"] == []


def test_what_a_run_took_is_not_pending(house: DaemonInProcess) -> None:
    house.http.post("/hooks/push", json={"id": "b", "kind": "file", "user": "berta"}).raise_for_status()
    assert got(house, "keyed/pending", key="berta")["events"] == 0
    assert got(house, "keyed/pending/events", key="berta")["items"] == []
    assert got(house, "keyed/keys", prefix="berta")["items"][0]["last_run"]["id"]


@pytest.mark.parametrize("path", ["keys", "pending", "pending/events", "requests"])
def test_an_unknown_rule_has_none(house: DaemonInProcess, path: str) -> None:
    assert house.http.get(f"/api/v1/rules/nothing/{path}").status_code == 404


def test_what_was_requested_and_waits(house: DaemonInProcess) -> None:
    house.http.post("/api/v1/rules/plain/pause", json={}).raise_for_status()
    assert got(house, "plain/requests") == {"rule": "plain", "key": "", "waiting": "", "manual": 0, "backfill": None}
    house.http.post("/api/v1/rules/plain/backfills", json={"from": "700d"}).raise_for_status()
    asked = got(house, "plain/requests")
    assert asked["waiting"].startswith("2 slots of a backfill, next ") or asked["waiting"].startswith("1 slot of")
    assert asked["backfill"]["waiting"] == asked["backfill"]["total"] > 0


def test_a_cloudevent_is_tried_as_one_of_any_source(house: DaemonInProcess) -> None:
    event = {"specversion": "1.0", "source": "elsewhere", "data": {"kind": "file", "user": "anna"}}
    conditions = house.http.post("/api/v1/rules/keyed/explain", json={"event": event}).json()["event"][0]["conditions"]
    assert conditions[0]["holds"] is True
    del event["specversion"]
    conditions = house.http.post("/api/v1/rules/keyed/explain", json={"event": event}).json()["event"][0]["conditions"]
    assert conditions[0]["holds"] is False
