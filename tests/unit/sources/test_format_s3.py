import json
from typing import Any

import pytest

from retrainer.event import Event, Poison
from retrainer.sources.formats import s3
from retrainer.sources.formats.payload import Delivery

NOW = 1_780_000_000.0
OBJECT = {"key": "churn%2Fa+b%2Bc.parquet", "size": 1024, "eTag": "d41d8", "versionId": "v1", "sequencer": "0055AED6"}


def record(**changes: Any) -> dict[str, Any]:
    """An AWS record. `object__key=…` changes a field of it; None removes the field."""
    found = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2026-03-01T02:30:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "features", "arn": "arn:aws:s3:::features"}, "object": dict(OBJECT)},
    }
    for name, value in changes.items():
        part, _, field = name.rpartition("__")
        target = found["s3"][part] if part else found
        target.pop(field) if value is None else target.update({field: value})
    return found


def read(*records: object, **envelope: Any) -> Any:
    body = json.dumps({"Records": list(records), **envelope}).encode()
    return s3.parse(Delivery("lake", body, NOW, "request:1"))


def test_a_record_becomes_an_event() -> None:
    (event,) = read(record())
    assert event == Event(
        source="lake",
        id="features/churn/a b+c.parquet v1 0055AED6 s3:ObjectCreated:Put",
        type="s3:ObjectCreated:Put",
        time=1772332200.0,
        subject="churn/a b+c.parquet",
        data={
            "bucket": "features",
            "key": "churn/a b+c.parquet",
            "size": 1024,
            "etag": "d41d8",
            "version": "v1",
            "sequencer": "0055AED6",
            "region": "eu-central-1",
        },
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"eventName": "s3:ObjectCreated:Put", "eventSource": "minio:s3"}, {}, id="minio-has-the-prefix"),
        pytest.param({"object__key": "a%2520b"}, {"key": "a%20b"}, id="decoded-once"),
        pytest.param({"object__key": "100%25.csv"}, {"key": "100%.csv"}, id="percent"),
        pytest.param(
            {"object__key": "a+b%2Bc", "eventSource": "ceph:s3"}, {"key": "a+b%2Bc"}, id="ceph-sends-keys-as-they-are"
        ),
        pytest.param({"object__size": "77", "object__versionId": ""}, {"size": 77, "version": ""}, id="ceph-size"),
        pytest.param({"object__size": None}, {"size": 0}, id="a-removed-object-has-no-size"),
        pytest.param({"object__sequencer": None}, {"sequencer": ""}, id="no-sequencer"),
        pytest.param({"awsRegion": None, "eventVersion": None}, {"region": ""}, id="sparse"),
        pytest.param({"eventVersion": "2.9"}, {}, id="later-minor-version"),
    ],
)
def test_dialects(changes: dict, expected: dict) -> None:
    (event,) = read(record(**changes))
    assert event.type == "s3:ObjectCreated:Put"
    assert {name: event.data[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"object__userMetadata": {"X-Amz-Meta-Retrainer-Run": "01R", "content-type": "a/b"}}, "01R", id="minio"
        ),
        pytest.param({"object__metadata": [{"key": "x-amz-meta-retrainer-run", "val": "01R"}]}, "01R", id="ceph"),
        pytest.param({"object__userMetadata": {"content-type": "a/b"}}, None, id="minio-without"),
        pytest.param({"object__metadata": []}, None, id="ceph-without"),
        pytest.param({"object__metadata": [1], "object__userMetadata": "x"}, None, id="not-as-expected"),
        pytest.param({}, None, id="aws-never-says"),
    ],
)
def test_the_run_that_wrote_an_object(changes: dict, expected: str | None) -> None:
    (event,) = read(record(**changes))
    assert event.attributes.get("retrainerrun") == expected


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({"eventTime": "2026-03-01T02:30:07Z"}, True, id="a-repeat-may-say-another-time"),
        pytest.param({"eventName": "s3:ObjectCreated:Put"}, True, id="prefix-or-not"),
        pytest.param({"object__sequencer": "0055AED7"}, False, id="overwritten"),
        pytest.param({"object__versionId": "v2"}, False, id="another-version"),
        pytest.param({"object__key": "other"}, False, id="another-key"),
        pytest.param({"bucket__name": "other"}, False, id="another-bucket"),
        pytest.param({"eventName": "ObjectRemoved:Delete"}, False, id="removed"),
    ],
)
def test_identity(changes: dict, same: bool) -> None:
    (first,), (second,) = read(record()), read(record(**changes))
    assert (first.id == second.id) is same


def test_without_a_sequencer_the_content_tells_repeats_apart() -> None:
    first, again, changed = read(
        record(object__sequencer=None),
        record(object__sequencer=None),
        record(object__sequencer=None, object__eTag="ffff"),
    )
    assert first.id == again.id != changed.id


def test_the_time_of_arrival_stands_in_for_a_missing_one() -> None:
    assert read(record(eventTime=None))[0].time == NOW


def test_several_records_are_several_events_and_a_bad_one_spoils_no_other() -> None:
    good, bad, other = read(record(), record(object__key=None), record(object__key="z"))
    assert (good.subject, other.subject) == ("churn/a b+c.parquet", "z")
    assert isinstance(bad, Poison)
    assert json.loads(bad.payload)["Records"][0]["eventName"] == "ObjectCreated:Put"


def test_minio_adds_fields_of_its_own() -> None:
    (event,) = read(record(), EventName="s3:ObjectCreated:Put", Key="features/churn/a b+c.parquet")
    assert event.data["key"] == "churn/a b+c.parquet"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "features"}, id="test-event"),
        pytest.param({"Records": []}, id="no-records"),
    ],
)
def test_what_says_nothing_is_acknowledged_and_dropped(body: dict) -> None:
    assert s3.parse(Delivery("lake", json.dumps(body).encode(), NOW, "r")) == ()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"object__key": None}, "no key", id="no-key"),
        pytest.param({"object__key": 5}, "key 5 is not a string", id="key-is-a-number"),
        pytest.param({"object__key": "a%FFb"}, "not UTF-8", id="key-not-utf-8"),
        pytest.param({"bucket__name": ""}, "no name", id="no-bucket"),
        pytest.param({"eventName": None}, "no eventName", id="no-event-name"),
        pytest.param({"eventVersion": "3.0"}, "eventVersion 3.0", id="later-major-version"),
        pytest.param({"object__size": -1}, "size -1", id="negative-size"),
        pytest.param({"object__size": "big"}, "size 'big'", id="size-in-words"),
        pytest.param({"object__size": True}, "size true", id="size-is-a-boolean"),
        pytest.param({"eventTime": "soon"}, "RFC 3339", id="time-in-words"),
        pytest.param({"eventTime": "2126-01-01T00:00:00Z"}, "in the future", id="far-future"),
        pytest.param({"s3": None}, "no object s3.bucket", id="no-s3"),
        pytest.param({"s3": [1]}, "no object s3.bucket", id="s3-is-a-list"),
    ],
)
def test_a_record_that_cannot_be_read_is_kept(changes: dict, error: str) -> None:
    (item,) = read(record(**changes))
    assert isinstance(item, Poison)
    assert error in item.error


@pytest.mark.parametrize("item", [None, 5, "x", []])
def test_a_record_that_is_no_object_is_kept(item: object) -> None:
    assert isinstance(read(item)[0], Poison)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"Records": {}}', b'"x"', b"\xff"])
def test_a_body_that_is_no_notification_is_kept(body: bytes) -> None:
    (item,) = s3.parse(Delivery("lake", body, NOW, "r"))
    assert isinstance(item, Poison)
    assert item.payload == body


@pytest.mark.parametrize("length", [10, 700, 1024])
def test_all_that_is_said_of_an_object_is_found_by_its_place(length: int) -> None:
    """Holds for keys of any length: the ledger is queried by the prefix of ids."""
    key = "k" * length
    events = [read(record(object__key=key, object__sequencer=sequencer))[0] for sequencer in ("01", "02")]
    assert events[0].id != events[1].id
    assert all(event.id.startswith(s3.about("features", key)) for event in events)
    assert all(len(event.id) <= 1024 for event in events)
