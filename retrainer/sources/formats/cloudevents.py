"""CloudEvents 1.x: binary and structured mode over HTTP and Kafka, batch mode over HTTP."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from retrainer.event import Event, Poison
from retrainer.sources.formats.payload import Delivery, Unreadable, each, event_id, load, poison, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_FAMILY = "application/cloudevents"
_CORE = frozenset({"specversion", "type", "subject", "time"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def parse(delivery: Delivery) -> tuple[Event | Poison, ...]:
    """Parse an HTTP request: one event, or all of a batch. The mode follows from the content type."""
    content = _media_type(delivery.headers.get("content-type", ""))
    try:
        if content == BATCH:
            return _batch(delivery)
        return (_structured(delivery, load(delivery)) if content == STRUCTURED else _binary(delivery, content, HTTP),)
    except Unreadable as error:
        return (poison(delivery, error),)


def parse_record(delivery: Delivery) -> tuple[Event | Poison, ...]:
    """Parse a Kafka record: one event. The mode follows from the header content-type, else from the body."""
    content = _media_type(delivery.headers.get("content-type", ""))
    try:
        if content.startswith(_FAMILY):
            return (_structured(delivery, _json_form(delivery, content)),)
        if content in ("", "application/json") and not _has_attributes(delivery, KAFKA):
            return (_structured(delivery, _undeclared(delivery)),)
        return (_binary(delivery, content, KAFKA),)
    except Unreadable as error:
        return (poison(delivery, error),)


def _has_attributes(delivery: Delivery, binding: Binding) -> bool:
    return any(name.startswith(binding.prefix) for name in delivery.headers)


def _undeclared(delivery: Delivery) -> Any:
    """Parse a record without headers: only its body shows that it is a CloudEvent."""
    try:
        item = load(delivery)
    except Unreadable:
        item = None
    if not isinstance(item, dict) or "specversion" not in item:
        raise _no_event(KAFKA)
    return item


def _no_event(binding: Binding) -> Unreadable:
    return Unreadable(
        f"not a CloudEvent: neither {binding.prefix}* headers nor content type {binding.structured}, nor is its "
        "body a JSON object with a specversion"
    )


def _json_form(delivery: Delivery, content: str) -> Any:
    if content != STRUCTURED:
        raise Unreadable(f"content type {content:.80}: of the structured forms only {STRUCTURED} is read from records")
    return load(delivery)


def _batch(delivery: Delivery) -> tuple[Event | Poison, ...]:
    items = load(delivery)
    if not isinstance(items, list):
        raise Unreadable("a batch is a JSON list of CloudEvents")
    return each(delivery, items, lambda item: _structured(delivery, item), lambda bad: bad if bad[1:] else bad[0])


def _structured(delivery: Delivery, item: Any) -> Event:
    if not isinstance(item, dict):
        raise Unreadable("a CloudEvent is a JSON object")
    attributes = {k: v for k, v in item.items() if k not in ("data", "data_base64") and v is not None}
    return _event(delivery, attributes, _structured_data(delivery, item))


def _structured_data(delivery: Delivery, item: Mapping[str, Any]) -> Mapping[str, Any]:
    encoded = item.get("data_base64")
    if encoded is None:
        return _object(item.get("data"))
    if item.get("data") is not None:
        raise Unreadable("data and data_base64 exclude each other")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Unreadable("data_base64 is not base64") from None
    if delivery.told is not None:
        delivery.told(raw)
    return _decoded(raw, str(item.get("datacontenttype") or "application/octet-stream"))


def _binary(delivery: Delivery, content: str, binding: Binding) -> Event:
    attributes: dict[str, Any] = {
        name.removeprefix(binding.prefix): binding.text(name, value)
        for name, value in delivery.headers.items()
        if name.startswith(binding.prefix)
    }
    if not attributes:
        raise _no_event(binding)
    if content:
        attributes["datacontenttype"] = delivery.headers["content-type"]
    return _event(delivery, attributes, _decoded(delivery.body, content or "application/json", delivery.max_size))


def _header_value(name: str, value: str) -> str:
    """Remove quotes, then percent-decode once, as the HTTP binding requires."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise Unreadable(f"header {name} is not UTF-8 once decoded") from None


@dataclass(frozen=True, slots=True)
class Binding:
    """How a transport encodes attributes as headers: their prefix, and how to decode a value.

    ``structured``: the content types of events whose attributes are in the body.
    """

    prefix: str
    text: Callable[[str, str], str]
    structured: str


HTTP = Binding("ce-", _header_value, f"{STRUCTURED} or {BATCH}")
KAFKA = Binding("ce_", lambda _, value: value, STRUCTURED)  # record headers are plain UTF-8


def _event(delivery: Delivery, attributes: Mapping[str, Any], data: Mapping[str, Any]) -> Event:
    version, identity, origin, kind = (_required(attributes, n) for n in ("specversion", "id", "source", "type"))
    if version.partition(".")[0] != "1":
        raise Unreadable(f"specversion {version:.20}: only 1.x is known")
    return Event(
        source=delivery.source,
        # A URI contains no space, so different pairs of source and id cannot give the same text.
        id=event_id(f"{origin.replace(' ', '%20')} {identity}"),
        type=kind,
        time=time_of(delivery, attributes.get("time")),
        subject=_text(attributes, "subject"),
        data=data,
        attributes={
            **{name: _scalar(name, value) for name, value in attributes.items() if name not in _CORE},
            **delivery.attributes,
        },
        record=delivery.record,
    )


def _required(attributes: Mapping[str, Any], name: str) -> str:
    value = _text(attributes, name)
    if not value:
        raise Unreadable(f"the CloudEvent has no {name}")
    return value


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name, "")
    if not isinstance(value, str) or _CONTROL.search(value):
        raise Unreadable(f"{name} {value!r:.60} is not a string free of control characters")
    return value


def _scalar(name: str, value: Any) -> str | float | bool:
    if not isinstance(value, (str, bool, int, float)):
        raise Unreadable(f"attribute {name:.60} is neither a string nor a number nor a boolean")
    return value


def _decoded(raw: bytes, content: str, max_size: int = 1 << 30) -> Mapping[str, Any]:
    """Return bytes as data: JSON as it is, other text as `text`, anything else as `base64`."""
    content = _media_type(content)
    if not raw:
        return {}
    if content == "application/json" or content.endswith("+json"):
        return _object(load(Delivery("", raw, 0.0, "", max_size=max_size)))
    if content.startswith("text/"):
        try:
            return {"text": raw.decode()}
        except UnicodeDecodeError:
            raise Unreadable(f"data of type {content} is not UTF-8") from None
    return {"base64": base64.b64encode(raw).decode()}


def _object(value: Any) -> Mapping[str, Any]:
    """Return the data as an object, which rules need; any other value goes under `value`."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"value": value}


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
