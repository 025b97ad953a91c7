"""`GET /api/v1/upcoming` on a real daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.util.timefmt import rfc3339
from tests.houses.daemon_in_process import DaemonInProcess, template
from tests.houses.teams import teams
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
pools: {gpu: 1}
calendars: {freeze: {dates: [0001-01-01/9999-12-31]}}
defaults: {submit: {workflow_template: train}}
rules:
  - {name: berlin, triggers: {s: {schedule: {cron: "0 3 * * *", timezone: Europe/Berlin}}}}
  - {name: frozen, triggers: {s: {schedule: {cron: "0 3 * * *"}}}, limits: {mute: [freeze]}}
  - {name: one, triggers: {s: {schedule: {cron: "0 3 * * *"}}}, limits: {pool: gpu}}
  - {name: two, triggers: {s: {schedule: {cron: "0 3 * * *"}}}, limits: {pool: gpu, priority: 1}}
  - {name: quiet, triggers: {d: {data: {source: push}}}}
"""
TEMPLATE = template("train", "echo", "trained")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path_factory.mktemp("house"), RULES, TEMPLATE)
    until(lambda: {e["rule"] for e in _day(made)["items"]} >= {"berlin", "frozen", "one", "two"}, "the rules are known")
    yield made
    made.close()


def _day(house: DaemonInProcess, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = house.http.get("/api/v1/upcoming", params={"until": _in(house, 1), **query}).json()
    return found


def _in(house: DaemonInProcess, days: float) -> str:
    return rfc3339(house.app.engine.clock.now() + days * 86400)


def test_each_entry_says_what_comes_and_what_would_hold_it(house: DaemonInProcess) -> None:
    found = {entry["rule"]: entry for entry in _day(house)["items"]}
    assert found["berlin"]["zone"] == "Europe/Berlin"
    assert found["berlin"]["local"][11:16] == "03:00"
    assert found["berlin"]["outcome"] == "fires"
    assert found["frozen"]["outcome"] == "held"
    assert [(h["kind"], h["name"]) for h in found["frozen"]["held_by"]] == [("muted", "freeze")]
    assert found["two"]["held_by"] == []
    assert [(h["kind"], h["name"]) for h in found["one"]["held_by"]] == [("pool", "gpu")]
    assert found["one"]["outcome"] == "waits"


def test_pages_filters_and_periods(house: DaemonInProcess) -> None:
    whole = _day(house)["items"]
    paged: list[Any] = []
    more: dict[str, str] = {}
    while True:
        page = _day(house, limit=1, **more)
        paged += page["items"]
        if page["next"] is None:
            break
        more = {"cursor": page["next"]}
    assert [(e["at"], e["rule"]) for e in paged] == [(e["at"], e["rule"]) for e in whole]
    assert {e["rule"] for e in _day(house, rule="one")["items"]} == {"one"}
    assert _day(house, kind="cooldown")["items"] == []
    assert _day(house, since=whole[-1]["at"])["items"][0]["at"] == whole[-1]["at"]
    assert _day(house, until=whole[0]["at"])["items"] == []
    assert _day(house)["complete"]


@pytest.mark.parametrize(
    ("query", "status"), [({"cursor": "x"}, 422), ({"rule": "none"}, 404), ({"kind": "x"}, 422), ({"limit": "0"}, 422)]
)
def test_what_it_refuses(house: DaemonInProcess, query: dict[str, str], status: int) -> None:
    assert house.http.get("/api/v1/upcoming", params=query).status_code == status


def test_a_team_sees_its_rules_only(tmp_path: Path) -> None:
    with teams(tmp_path) as daemon:
        far = "2199-01-01T00:00:00Z"
        seen = {team: daemon.get(team, "upcoming", until=far, limit=1000) for team in ("fraud", "growth")}
        assert daemon.ask("fraud", "GET", "/api/v1/upcoming?rule=uplift").status_code == 404
    assert {entry["rule"] for entry in seen["fraud"]["items"]} == {"chargeback"}
    assert {entry["rule"] for entry in seen["growth"]["items"]} == {"uplift"}


def test_limits_say_what_they_hold_now(house: DaemonInProcess) -> None:
    found = house.http.get("/api/v1/limits").json()
    assert [(p["name"], p["size"], p["used"]) for p in found["pools"]] == [("gpu", 1, 0)]
    assert [(c["name"], c["active"], c["changes_at"], c["mutes"]) for c in found["calendars"]] == [
        ("freeze", True, None, ["frozen"])
    ]
    house.http.post("/api/v1/rules/quiet/pause", json={}).raise_for_status()
    found = house.http.get("/api/v1/limits").json()
    assert [(rule["rule"], rule["reason"]) for rule in found["held"]] == [("quiet", "paused")]
    assert found["held_counts"] == [{"reason": "paused", "rules": 1}]
    assert found["known"] == found["rules"] == 5
    house.http.post("/api/v1/rules/quiet/resume", json={}).raise_for_status()


def test_the_command_lists_the_same(house: DaemonInProcess) -> None:
    listed = house.ask("upcoming", "--until", _in(house, 1)).output
    assert "freeze" in listed
    assert "Europe/Berlin" in listed
    found = json.loads(
        house.ask("-o", "json", "upcoming", "--rule", "one", "--until", _in(house, 1), "--kind", "schedule").output
    )
    assert [(e["rule"], e["outcome"]) for e in found["items"]] == [("one", "waits")]
    assert house.ask("upcoming", "--kind", "cooldown").output.startswith("Nothing is due")
    assert "There are more" in house.ask("upcoming", "--limit", "1", "--until", _in(house, 1)).output
