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
"""Bytes of bucket and key in an identity; what follows still has room, so that the ledger can be asked by them."""
_METADATA = f"x-amz-meta-{HEADER}"


def parse(delivery: Delivery, keys: KeyEncoding = "auto") -> tuple[Event | Poison, ...]:
    """One event a record; none for the test event that a bucket sends when notifications are set up.

    ``keys`` says how the sender writes keys; `auto` goes by who it says it is.
    """
    try:
        return read(delivery, load(delivery), keys)
    except Unreadable as error:
        return (poison(delivery, error),)


def read(delivery: Delivery, body: Any, keys: KeyEncoding) -> tuple[Event | Poison, ...]:
    """Do what `parse` does with a body that was loaded already; raise Unreadable if it is no notification."""
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
    """The run that the object's own metadata names, which MinIO tells as an object and Ceph as a list; AWS does not."""
    thing = part(record, "s3", "object")
    told, listed = thing.get("userMetadata"), thing.get("metadata")
    pairs = list(told.items()) if isinstance(told, dict) else []
    if isinstance(listed, list):
        pairs += [(one.get("key"), one.get("val")) for one in listed if isinstance(one, dict)]
    return next((str(value) for name, value in pairs if str(name).lower() == _METADATA), "")


def event(delivery: Delivery, kind: str, data: dict[str, Any], time: str, run: str = "") -> Event:
    """Make the event of a notification, on whichever road and in whichever dialect it came.

    ``run`` is the run that wrote the object, if the notification says so.
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
    """Return what makes two notifications one. Without a sequencer the content says it, without either the time.

    The kind belongs to it: an object that is removed may carry the etag it was created with. The object comes first, so
    that the ledger finds what was ever said of it.
    """
    return f"{about(data['bucket'], data['key'])}{data['version']} {data['sequencer'] or data['etag'] or time} {kind}"


def about(bucket: str, key: str) -> str:
    """Return what the identities of all notifications about an object begin with, also where its key is very long."""
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
    """AWS and MinIO form-encode keys (a blank is `+`); Ceph sends them as they are, and says so by its eventSource."""
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
    """Read a size in bytes. Ceph may send a string; a removed object has none."""
    try:
        return values.amount(value)
    except ValueError as error:
        raise Unreadable(str(error)) from None


def part(record: Any, *path: str) -> dict[str, Any]:
    """Return the object at a path; raise Unreadable if there is none."""
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    if not isinstance(record, dict):
        raise Unreadable(f"the record has no object {'.'.join(path)}")
    return record


def text(holder: Any, name: str, *, required: bool = False) -> str:
    """Return a string field, empty if it is missing; raise Unreadable if it is required, or no string."""
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
