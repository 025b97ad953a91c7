"""Bucket notifications of AWS, MinIO and Ceph: `{"Records": [...]}`."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import unquote_plus

from retrainer.event import Event, Poison
from retrainer.rules.self_trigger import ATTRIBUTE, HEADER
from retrainer.sources.formats.payload import MAX_ID, Delivery, Unreadable, each, event_id, load, poison, time_of
from retrainer.util import values

KeyEncoding = Literal["auto", "form", "raw"]
MAX_PLACE = MAX_ID - 256
"""Bytes of bucket and key in an identity. They leave room for the rest, so that the ledger can be searched by them."""
_METADATA = f"x-amz-meta-{HEADER}"


def parse(delivery: Delivery, keys: KeyEncoding = "auto") -> tuple[Event | Poison, ...]:
    """Return one event per record; none for the test event that a bucket sends when notifications are set up.

    ``keys``: how the sender encodes keys; `auto` decides by the sender's name in the record.
    """
    try:
        return read(delivery, load(delivery), keys)
    except Unreadable as error:
        return (poison(delivery, error),)


def read(delivery: Delivery, body: Any, keys: KeyEncoding) -> tuple[Event | Poison, ...]:
    """Do the same for a body that is loaded already. Raise Unreadable if it is no notification."""
    return each(
        delivery,
        _records(body),
        lambda record: _event(delivery, record, keys),
        lambda records: {"Records": records},
    )


def _records(body: Any) -> list[Any]:
    if isinstance(body, dict) and body.get("Event") == "s3:TestEvent":
        return []
    records = body.get("Records") if isinstance(body, dict) else None
    if not isinstance(records, list):
        raise Unreadable("not a bucket notification: it has no list of Records")
    return records


def _event(delivery: Delivery, record: Any, keys: KeyEncoding) -> Event:
    _check_version(record)
    name = text(record, "eventName", required=True)
    kind = name if name.startswith("s3:") else f"s3:{name}"
    return event(delivery, kind, _data(record, keys), text(record, "eventTime"), _run(record))


def _run(record: Any) -> str:
    """Return the run in the object's metadata, which MinIO sends as an object, Ceph as a list, and AWS not at all."""
    thing = part(record, "s3", "object")
    told, listed = thing.get("userMetadata"), thing.get("metadata")
    pairs = list(told.items()) if isinstance(told, dict) else []
    if isinstance(listed, list):
        pairs += [(one.get("key"), one.get("val")) for one in listed if isinstance(one, dict)]
    return next((str(value) for name, value in pairs if str(name).lower() == _METADATA), "")


def event(delivery: Delivery, kind: str, data: dict[str, Any], time: str, run: str = "") -> Event:
    """Return the event of a notification, for every channel and dialect.

    ``run``: the run that wrote the object, if the notification names it.
    """
    return Event(
        source=delivery.source,
        id=event_id(identity(kind, data, time or delivery.id)),
        type=kind,
        time=time_of(delivery, time),
        subject=data["key"],
        data=data,
        attributes={**delivery.attributes, ATTRIBUTE: run} if run else delivery.attributes,
        record=delivery.record,
    )


def identity(kind: str, data: dict[str, Any], time: str = "") -> str:
    """Return what identifies a notification: its sequencer, else the content (etag), else the time.

    It includes the kind, because a removed object may have the etag that it was created with. The object comes first,
    so that the ledger finds everything about it by prefix.
    """
    return f"{about(data['bucket'], data['key'])}{data['version']} {data['sequencer'] or data['etag'] or time} {kind}"


def about(bucket: str, key: str) -> str:
    """Return the prefix of the identities of all notifications about an object, also for a very long key."""
    return f"{event_id(f'{bucket}/{key}', MAX_PLACE)} "


def _check_version(record: Any) -> None:
    version = text(record, "eventVersion")
    if version and version.partition(".")[0] != "2":
        raise Unreadable(f"eventVersion {version:.20}: only major version 2 is known")


def _data(record: Any, keys: KeyEncoding) -> dict[str, Any]:
    bucket, obj = part(record, "s3", "bucket"), part(record, "s3", "object")
    return {
        "bucket": text(bucket, "name", required=True),
        "key": _key(record, text(obj, "key", required=True), keys),
        "size": size(obj.get("size")),
        "etag": text(obj, "eTag"),
        "version": text(obj, "versionId"),
        "sequencer": text(obj, "sequencer"),
        "region": text(record, "awsRegion"),
    }


def _key(record: Any, key: str, keys: KeyEncoding) -> str:
    """Decode a key. AWS and MinIO form-encode keys (a space is `+`). Ceph does not; its eventSource identifies it."""
    if keys == "raw" or (keys == "auto" and text(record, "eventSource").startswith("ceph:")):
        return key
    try:
        decoded = unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable(f"key {key!r:.80} is not UTF-8 once decoded") from None
    if "\0" in decoded:
        raise Unreadable(f"key {key!r:.80} holds a NUL once decoded")
    return decoded


def size(value: Any) -> int:
    """Return a size in bytes. Ceph may send a string; a removed object has none."""
    try:
        return values.amount(value)
    except ValueError as error:
        raise Unreadable(str(error)) from None


def part(record: Any, *path: str) -> dict[str, Any]:
    """Return the object at a path. Raise Unreadable if there is none."""
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    if not isinstance(record, dict):
        raise Unreadable(f"the record has no object {'.'.join(path)}")
    return record


def text(holder: Any, name: str, *, required: bool = False) -> str:
    """Return a string field, empty if missing. Raise Unreadable if it is required and missing, or not a string."""
    if not isinstance(holder, dict):
        raise Unreadable("a record is a JSON object")
    value = holder.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise Unreadable(f"{name} {value!r:.40} is not a string")
    if required and not value:
        raise Unreadable(f"the record has no {name}")
    if "\0" in value:
        raise Unreadable(f"{name} {value!r:.40} holds a NUL")
    return value
