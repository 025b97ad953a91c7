"""Bucket notifications of AWS, MinIO and Ceph: `{"Records": [...]}`."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import orjson

from retrainer.event import Event, Poison
from retrainer.sources.formats.payload import Delivery, Unreadable, event_id, event_time, load, poison


def parse(delivery: Delivery) -> tuple[Event | Poison, ...]:
    """One event a record; none for the test event that a bucket sends when notifications are set up."""
    try:
        records = _records(load(delivery))
    except Unreadable as error:
        return (poison(delivery, error),)
    return tuple(_item(delivery, record) for record in records)


def _records(body: Any) -> list[Any]:
    if isinstance(body, dict) and body.get("Event") == "s3:TestEvent":
        return []
    records = body.get("Records") if isinstance(body, dict) else None
    if not isinstance(records, list):
        raise Unreadable("not a bucket notification: it has no list of Records")
    return records


def _item(delivery: Delivery, record: Any) -> Event | Poison:
    try:
        return _event(delivery, record)
    except Unreadable as error:
        return poison(delivery, error, orjson.dumps({"Records": [record]}))


def _event(delivery: Delivery, record: Any) -> Event:
    _check_version(record)
    name = _text(record, "eventName", required=True)
    kind = name if name.startswith("s3:") else f"s3:{name}"
    data = _data(record)
    return Event(
        source=delivery.source,
        id=event_id(identity(kind, data, _text(record, "eventTime"))),
        type=kind,
        time=event_time(_text(record, "eventTime"), delivery.received_at),
        subject=data["key"],
        data=data,
    )


def identity(kind: str, data: dict[str, Any], time: str = "") -> str:
    """Return what makes two notifications one. Without a sequencer the content says it, without either the time.

    The kind belongs to it: an object that is removed may carry the etag it was created with. The object comes first, so
    that the ledger finds what was ever said of it.
    """
    return f"{about(data['bucket'], data['key'])}{data['version']} {data['sequencer'] or data['etag'] or time} {kind}"


def about(bucket: str, key: str) -> str:
    """Return what the identities of all notifications about an object begin with."""
    return f"{bucket}/{key} "


def _check_version(record: Any) -> None:
    version = _text(record, "eventVersion")
    if version and version.partition(".")[0] != "2":
        raise Unreadable(f"eventVersion {version:.20}: only major version 2 is known")


def _data(record: Any) -> dict[str, Any]:
    bucket, obj = _part(record, "s3", "bucket"), _part(record, "s3", "object")
    return {
        "bucket": _text(bucket, "name", required=True),
        "key": _key(record, _text(obj, "key", required=True)),
        "size": _size(obj.get("size")),
        "etag": _text(obj, "eTag"),
        "version": _text(obj, "versionId"),
        "sequencer": _text(obj, "sequencer"),
        "region": _text(record, "awsRegion"),
    }


def _key(record: Any, key: str) -> str:
    """AWS and MinIO form-encode keys (a blank is `+`); Ceph sends them as they are, and says so by its eventSource."""
    if _text(record, "eventSource").startswith("ceph:"):
        return key
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable(f"key {key!r:.80} is not UTF-8 once decoded") from None


def _size(value: Any) -> int:
    """Ceph may send a string; a removed object has no size."""
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise Unreadable(f"size {value!r:.40} is not a number of bytes")


def _part(record: Any, *path: str) -> dict[str, Any]:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    if not isinstance(record, dict):
        raise Unreadable(f"the record has no object {'.'.join(path)}")
    return record


def _text(part: Any, name: str, *, required: bool = False) -> str:
    if not isinstance(part, dict):
        raise Unreadable("a record is a JSON object")
    value = part.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise Unreadable(f"{name} {value!r:.40} is not a string")
    if required and not value:
        raise Unreadable(f"the record has no {name}")
    return value
