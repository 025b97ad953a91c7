"""Drift, ages and promotions as users see them: over the API and the CLI of a whole daemon."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.houses.daemon_in_process import DaemonInProcess, template
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
  page: {type: alertmanager, path: /hooks/page}
rules:
  - name: churn
    triggers:
      drift: {metric: {source: push, match: {model: churn}, above: 0.2, clear: 0.1, jitter: 0s}}
    limits: {cooldown: {period: 1h}}
    submit: {workflow_template: train, outputs: {promoted: {parameter: promoted, type: boolean}}}
    feedback: {backoff: {factor: 2, max: 7d}}
  - name: scores
    triggers: {trained: {after: {rule: churn, outcome: promoted}}}
    submit: {workflow_template: train}
  - name: watched
    mode: shadow
    triggers:
      page: {alert: {source: page, match: {alertname: ModelDrift}}}
      old: {freshness: {max_age: 14d}}
    submit: {workflow_template: train}
"""
TEMPLATE = template("train", "true")


class Story(DaemonInProcess):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, RULES, TEMPLATE)

    def push(self, **data: Any) -> None:
        assert self.http.post("/hooks/push", json=data).status_code == 202

    def runs(self, rule: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.ask("runs", "list", "--rule", rule, "-o", "json").stdout)["items"]
        return items

    def ended(self, rule: str) -> dict[str, Any]:
        found = until(lambda: [r for r in self.runs(rule) if r["ended_at"]], f"a run of {rule} has ended")
        return dict(found[0])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Story]:
    with structlog.testing.capture_logs():  # keep the daemon's log out of the output of the commands
        house = Story(tmp_path)
        yield house
        house.close()


def test_drift_starts_a_run_and_its_promotion_another(house: Story) -> None:
    house.push(model="churn", metric="psi", value=0.05)
    assert "below_threshold" in house.ask("explain", "churn").stdout
    house.push(model="churn", metric="psi", value=0.31)
    run = house.ended("churn")
    assert (run["phase"], run["reason"], run["promoted"]) == ("SUCCEEDED", "threshold", None)
    shown = " ".join(house.ask("runs", "show", run["id"]).stdout.split())
    assert "metrics drift=0.31" in shown
    assert house.runs("scores") == []
    assert "is recorded as promoted" in house.ask("runs", "feedback", run["id"], "--promoted").stdout
    assert house.ended("scores")["reason"] == "upstream"
    assert house.ask("runs", "feedback", "nope", "--promoted", code=1).stdout == ""


def test_last_night_and_what_an_event_did(house: Story) -> None:
    house.push(model="churn", metric="psi", value=0.31)
    house.ended("churn")
    moment = datetime.now(UTC).isoformat()
    assert "churn at " in house.ask("explain", "churn", "--at", moment).stdout
    house.push(model="basket", metric="psi", value=0.9)
    events = json.loads(house.ask("events", "list", "-o", "json").stdout)["items"]
    told = json.loads(house.ask("events", "find", str(events[0]["seq"]), "-o", "json").stdout)["items"][0]
    assert [(e["rule"], e["outcome"], e["detail"]) for e in told["effects"]] == [
        ("churn", "missed", "drift: model is not 'churn'")
    ]
    assert "There is no such event" in house.ask("events", "find", "nope").stdout


def test_a_shadow_tells_what_it_would_have_done(house: Story) -> None:
    alert = {"status": "firing", "labels": {"alertname": "ModelDrift"}, "annotations": {}, "fingerprint": "f"}
    moments = {"startsAt": "2026-11-24T08:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": ""}
    group = {"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r"}
    labels = {"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": ""}
    body = {**group, **labels, "alerts": [{**alert, **moments}]}
    assert house.http.post("/hooks/page", json=body).status_code == 202
    told = json.loads(house.ask("shadow", "-o", "json").stdout)
    assert [(r["rule"], r["in_shadow"], r["runs"]) for r in told["rules"]] == [("watched", True, 1)]
    assert "watched" in house.ask("shadow", "watched").stdout
    assert house.runs("watched") == []


def test_ages_are_imported_line_by_line(house: Story, tmp_path: Path) -> None:
    file = tmp_path / "ages.csv"
    file.write_text(
        "rule,key,succeeded_at,promoted_at\n"
        "watched,,yesterday,\n"
        "watchd,,2016-11-20T02:30:00Z,\n"
        "watched,,2016-11-20T02:30:00,\n"
        "watched,acme,2016-11-20T02:30:00Z,\n"
        "watched,,2126-11-20T02:30:00Z,\n"
        "watched,,2016-11-20T02:30:00+01:00,\n"
        "watched,,0001-01-01T00:00:00Z,\n"
        f"watched,{'k' * 300},2016-11-20T02:30:00Z,\n"
    )
    told = house.ask("state", "import", str(file), code=1).stdout
    assert told.splitlines() == [
        f"{file}:2: 'yesterday' is not a time with a zone: write it as 2026-11-01T02:30:00Z",
        f"{file}:3: there is no rule 'watchd'",
        f"{file}:4: '2016-11-20T02:30:00' is not a time with a zone: write it as 2026-11-01T02:30:00Z",
        f"{file}:5: watched has no keys: leave `key` empty",
        f"{file}:6: a time in the future",
        f"{file}:8: '0001-01-01T00:00:00Z' is not within 1970 to 2199",
        f"{file}:9: a rule has at most 63 characters, a key 200",
        "1 imported",
    ]
    for odd in (b"name\nwatched\n", b"rule,succeeded_at\n\xff,\n", b"rule,succeeded_at\n" + b"x" * 200_000):
        file.write_bytes(odd)
        house.ask("state", "import", str(file), code=2)
