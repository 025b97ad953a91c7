"""Webhook payloads of Alertmanager (version 4) and Grafana (version 1). Each alert becomes one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.event import Event, Poison
from retrainer.sources.formats.payload import Delivery, Unreadable, each, event_id, event_time, load, poison, time_of
from retrainer.sources.formats.plain import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping


VERSION = "4"
GRAFANA = "1"
"""Grafana's own webhook has the same alerts, and adds its organisation (`orgId`)."""
TRUNCATED = "truncatedAlerts"
"""Event attribute: the number of alerts that the sender left out of the group (the receiver's `max_alerts`)."""
MAX_SHARED = 1024
"""Characters of a value that all alerts of a group share; the rest is cut off."""
_BEGAN_OR_ENDED = {"firing": "startsAt", "resolved": "endsAt"}
_OTHER = {"firing": "resolved", "resolved": "firing"}


def parse(delivery: Delivery) -> tuple[Event | Poison, ...]:
    """Return one event per alert. Unreadable alerts do not affect the others."""
    try:
        group = _group(load(delivery))
        left_out = _left_out(group)
        attributes = {**delivery.attributes, **({TRUNCATED: left_out} if left_out else {})}
        # A dead letter includes the group, so that the alerts can be parsed again later.
        return each(
            delivery,
            group["alerts"],
            lambda alert: _event(delivery, group, alert, attributes),
            lambda alerts: {**group, "alerts": alerts},
        )
    except Unreadable as error:
        return (poison(delivery, error),)


def _group(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict) or not isinstance(body.get("alerts"), list):
        raise Unreadable("not from Alertmanager: it has no list of alerts")
    version = body.get("version")
    if version == VERSION or (version == GRAFANA and "orgId" in body):
        return body
    raise Unreadable(
        f"version {version!r:.40} of Alertmanager's webhook: only {VERSION!r} is supported, and {GRAFANA!r} of "
        "Grafana, with an orgId; send from an Alertmanager, or as JSON to a source of type webhook"
    )


def _left_out(group: Mapping[str, Any]) -> int:
    count = group.get(TRUNCATED, 0)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise Unreadable(f"{TRUNCATED} {count!r:.40} is not a number of alerts")
    return count


def _event(delivery: Delivery, group: Mapping[str, Any], alert: Any, attributes: Mapping[str, Any]) -> Event:
    if not isinstance(alert, dict):
        raise Unreadable(f"an alert is a JSON object, not {kind_of(alert)}")
    status = _text(alert, "status")
    if status not in _BEGAN_OR_ENDED:
        raise Unreadable(f"status {status!r:.40} is neither firing nor resolved")
    labels = _texts(alert, "labels")
    data = {
        "status": status,
        "labels": labels,
        "annotations": _texts(alert, "annotations"),
        "startsAt": _text(alert, "startsAt", required=True),
        "endsAt": _text(alert, "endsAt"),
        "generatorURL": _text(alert, "generatorURL"),
        "fingerprint": _text(alert, "fingerprint", required=True),
        "receiver": _shared(group, "receiver"),
        "groupKey": _shared(group, "groupKey"),
        "externalURL": _shared(group, "externalURL"),
    }
    event_time(data["startsAt"], delivery.received_at)  # validated because rules use it
    alert_id = f"{data['fingerprint']}:{data['startsAt']}"
    return Event(
        source=delivery.source,
        # Repeats, and copies from each of a highly available pair, have the same id.
        id=event_id(f"{alert_id}:{status}"),
        # If Prometheus stops sending, Alertmanager reports the alert as resolved; the alert may fire again later.
        takes_back=event_id(f"{alert_id}:{_OTHER[status]}"),
        type=f"alertmanager.{status}",
        time=time_of(delivery, data[_BEGAN_OR_ENDED[status]]),
        subject=labels.get("alertname", ""),
        data=data,
        attributes=attributes,
        record=delivery.record,
    )


def _text(holder: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    value = holder.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise Unreadable(f"{name} is {kind_of(value)}, not a string")
    if required and not value:
        raise Unreadable(f"the alert has no {name}")
    return value


def _shared(group: Mapping[str, Any], name: str) -> str:
    """Return a value of the group that each of its events gets. It is cut: events must not outgrow the payload."""
    value = _text(group, name)
    return value if len(value) <= MAX_SHARED else f"{value[:MAX_SHARED]}…"


def _texts(alert: Mapping[str, Any], name: str) -> dict[str, str]:
    value = alert.get(name)
    if value is None:
        value = {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise Unreadable(f"{name} are not names with strings")
    return value
