# ruff: noqa: E501 - a table with one case a line
"""Alertmanager's webhook, version 4: each alert of a group is an event."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from retrainer.event import Event, Poison
from retrainer.sources.formats.alertmanager import parse
from retrainer.sources.formats.payload import Delivery

NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z
BEGAN, ENDED = "2026-05-28T20:00:00.123456789Z", "2026-05-28T20:10:00Z"
FIRING: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "ModelDrift", "model": "churn"},
    "annotations": {"summary": "PSI above 0.2"},
    "startsAt": BEGAN,
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus:9090/graph?g0.expr=psi",
    "fingerprint": "c1a5ae0bf3bd1d1e",
}
RESOLVED = {**FIRING, "status": "resolved", "endsAt": ENDED}
GROUP: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="ModelDrift"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "retrainer",
    "groupLabels": {"alertname": "ModelDrift"},
    "commonLabels": {"alertname": "ModelDrift"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
}


def read(body: object, **more: Any) -> tuple[Event | Poison, ...]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return parse(Delivery("alerts", raw, NOW, "request:1", **more))


def group(*alerts: object, **more: object) -> dict[str, Any]:
    return {**GROUP, "alerts": list(alerts), **more}


def test_a_firing_alert() -> None:
    (event,) = read(group(FIRING))
    assert event == Event(
        source="alerts",
        id=f"c1a5ae0bf3bd1d1e:{BEGAN}:firing",
        type="alertmanager.firing",
        time=pytest.approx(1_779_998_400.123456),
        subject="ModelDrift",
        data={
            **FIRING,
            "receiver": "retrainer",
            "groupKey": '{}:{alertname="ModelDrift"}',
            "externalURL": "http://alertmanager:9093",
        },
        takes_back=f"c1a5ae0bf3bd1d1e:{BEGAN}:resolved",
    )


def test_it_is_resolved_at_its_end() -> None:
    (event,) = read(group(RESOLVED))
    assert isinstance(event, Event)
    assert (event.type, event.time) == ("alertmanager.resolved", 1_779_999_000.0)
    assert (event.id, event.takes_back) == (read(group(FIRING))[0].takes_back, read(group(FIRING))[0].id)  # type: ignore[union-attr]


def test_each_alert_of_a_group_is_an_event() -> None:
    other = {**RESOLVED, "fingerprint": "ff", "labels": {"alertname": "Stale"}}
    first, second = read(group(FIRING, other))
    assert (first.subject, second.subject) == ("ModelDrift", "Stale")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        pytest.param(group(FIRING), group(FIRING), True, id="repeated"),
        pytest.param(group(FIRING), group(FIRING, RESOLVED, externalURL="http://other:9093"), True, id="the other of a pair"),
        pytest.param(group(FIRING), group(RESOLVED), False, id="resolved"),
        pytest.param(group(FIRING), group({**FIRING, "startsAt": ENDED}), False, id="began anew"),
        pytest.param(group(FIRING), group({**FIRING, "fingerprint": "ff"}), False, id="other labels"),
    ],
)  # fmt: skip
def test_what_makes_two_notifications_one(one: object, another: object, same: bool) -> None:
    assert (read(one)[0].id == read(another)[0].id) == same


def test_what_the_sender_may_leave_out() -> None:
    bare = {name: FIRING[name] for name in ("status", "startsAt", "fingerprint")}
    (event,) = read({"version": "4", "alerts": [bare]})
    assert isinstance(event, Event)
    assert event.subject == ""
    assert event.data == {
        **dict.fromkeys(("endsAt", "generatorURL", "receiver", "groupKey", "externalURL"), ""),
        **bare,
        "labels": {},
        "annotations": {},
    }


GRAFANA = {  # from its documentation: grafana.com/docs/grafana/latest/alerting, webhook notifier
    "receiver": "My Super Webhook",
    "status": "firing",
    "orgId": 1,
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "High memory usage", "team": "blue", "zone": "us-1"},
            "annotations": {"description": "The system has high memory usage"},
            "startsAt": "2021-10-12T09:51:03.157076+02:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://play.grafana.org/alerting/1afz29v7z/edit",
            "fingerprint": "c6eadffa33fcdf37",
            "silenceURL": "https://play.grafana.org/alerting/silence/new",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 44.23943737541908, "C": 1},
        }
    ],
    "groupLabels": {},
    "commonLabels": {"team": "blue"},
    "commonAnnotations": {},
    "externalURL": "https://play.grafana.org/",
    "version": "1",
    "groupKey": "{}:{}",
    "truncatedAlerts": 0,
    "title": "[FIRING:1]  (High memory usage blue us-1)",
    "state": "alerting",
    "message": "**Firing**",
}


def test_grafana_sends_the_same_alerts() -> None:
    (event,) = read(GRAFANA)
    assert isinstance(event, Event)
    assert event.data["labels"] == GRAFANA["alerts"][0]["labels"]  # type: ignore[index]
    assert (event.type, event.subject, event.data["fingerprint"]) == (
        "alertmanager.firing",
        "High memory usage",
        "c6eadffa33fcdf37",
    )


def test_version_1_of_nobody_we_know_is_told_the_way_out() -> None:
    (item,) = read({name: value for name, value in GRAFANA.items() if name != "orgId"})
    assert isinstance(item, Poison)
    assert "Grafana" in item.error
    assert "source of type webhook" in item.error


def test_a_group_without_alerts_has_no_events() -> None:
    assert read(group()) == ()


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(0, {"zone": "a"}, id="all are told"),
        pytest.param(3, {"zone": "a", "truncatedAlerts": 3}, id="some are not"),
    ],
)
def test_how_many_were_left_out_stands_in_the_attributes(count: int, expected: dict[str, object]) -> None:
    (event,) = read(group(FIRING, truncatedAlerts=count), attributes={"zone": "a"})
    assert isinstance(event, Event)
    assert event.attributes == expected


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"alerts", "not JSON", id="no JSON"),
        pytest.param([FIRING], "it has no list of alerts", id="a list"),
        pytest.param({"version": "4"}, "it has no list of alerts", id="no alerts"),
        pytest.param({**GROUP, "alerts": {}}, "it has no list of alerts", id="alerts of another shape"),
        pytest.param(group(FIRING, version="3"), "version '3' of Alertmanager's webhook: only '4' is supported", id="older"),
        pytest.param(group(FIRING, version=4), "version 4 of", id="version of another type"),
        pytest.param(group(FIRING, truncatedAlerts="3"), "truncatedAlerts '3' is not a number", id="bad count"),
        pytest.param(group(FIRING, truncatedAlerts=-1), "truncatedAlerts -1 is not a number", id="count below 0"),
    ],
)  # fmt: skip
def test_what_is_no_notification_is_kept_whole(body: object, error: str) -> None:
    (item,) = read(body)
    assert isinstance(item, Poison)
    assert error in item.error
    assert item.payload == (body if isinstance(body, bytes) else orjson.dumps(body))


@pytest.mark.parametrize(
    ("alert", "error"),
    [
        pytest.param("ModelDrift", "an alert is a JSON object, not a string", id="no object"),
        pytest.param({**FIRING, "status": "pending"}, "status 'pending' is neither firing nor resolved", id="status"),
        pytest.param({**FIRING, "status": None}, "status '' is neither", id="no status"),
        pytest.param({**FIRING, "fingerprint": ""}, "the alert has no fingerprint", id="no fingerprint"),
        pytest.param({**FIRING, "startsAt": None}, "the alert has no startsAt", id="no beginning"),
        pytest.param({**FIRING, "startsAt": "yesterday"}, "'yesterday' is not RFC 3339", id="bad beginning"),
        pytest.param(
            {**RESOLVED, "startsAt": "yesterday"}, "'yesterday' is not RFC 3339", id="resolved, bad beginning"
        ),
        pytest.param({**RESOLVED, "endsAt": "0001-01-01T00:00:00Z"}, "is before 1970", id="resolved without an end"),
        pytest.param({**RESOLVED, "endsAt": "2026-06-28T20:00:00Z"}, "a day in the future", id="ends in a month"),
        pytest.param({**FIRING, "labels": {"severity": 1}}, "labels are not names with strings", id="labels"),
        pytest.param({**FIRING, "labels": ["a"]}, "labels are not names with strings", id="a list of labels"),
        pytest.param({**FIRING, "annotations": "x"}, "annotations are not names with strings", id="annotations"),
        pytest.param({**FIRING, "generatorURL": 5}, "generatorURL is a number, not a string", id="another type"),
    ],
)
def test_an_alert_that_cannot_be_read_spoils_no_other(alert: object, error: str) -> None:
    before, item, after = read(group(FIRING, alert, RESOLVED))
    assert isinstance(before, Event)
    assert isinstance(after, Event)
    assert isinstance(item, Poison)
    assert error in item.error
    assert read(item.payload)[0].id == item.id, "it can be read again as it is kept"
