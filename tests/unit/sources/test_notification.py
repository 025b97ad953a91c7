"""A bucket notification gives the same event through every wrapper."""

import json
from pathlib import Path
from typing import Any

import pytest

from retrainer.config import models
from retrainer.event import Event, Poison
from retrainer.sources.base import SourceContext
from retrainer.sources.formats.notification import NotificationFormat
from retrainer.sources.formats.payload import Delivery
from retrainer.sources.formats.registry import parser
from retrainer.sources.http.hook import Hook
from retrainer.sources.s3.source import _kafka

NOW = 1_780_000_000.0
TOPIC = "arn:aws:sns:eu-central-1:123456789012:lake"
CLASSIC = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-central-1",
            "eventTime": "2026-03-01T02:30:00.412Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "features", "arn": "arn:aws:s3:::features"},
                "object": {
                    "key": "churn%2Fa+b%2Bc.parquet",
                    "size": 1024,
                    "eTag": "d41d8",
                    "versionId": "v1",
                    "sequencer": "0055AED6",
                },
            },
        }
    ]
}


def bridged(kind: str = "Object Created", reason: str = "PutObject", **detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2026-03-01T02:30:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:s3:::features"],
        "detail": {
            "version": "0",
            "bucket": {"name": "features"},
            "object": {
                "key": "churn/a b+c.parquet",
                "size": 1024,
                "etag": "d41d8",
                "version-id": "v1",
                "sequencer": "0055AED6",
            },
            "request-id": "C3D13FE58DE4C810",
            "requester": "123456789012",
            "reason": reason,
            **detail,
        },
    }


def enveloped(message: object, **changes: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "9c7d",
        "TopicArn": TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-03-01T02:30:01.000Z",
        "SignatureVersion": "1",
        "Signature": "x",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/x.pem",
        **changes,
    }


def read(body: object, **settings: Any) -> tuple[Event | Poison, ...]:
    raw = json.dumps(body).encode()
    return NotificationFormat(**settings).parse(Delivery("lake", raw, NOW, "sqs:m-1", time=NOW - 5))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(bridged(), id="eventbridge"),
        pytest.param(enveloped(CLASSIC), id="sns"),
        pytest.param(enveloped(bridged()), id="eventbridge-by-sns"),
    ],
)
def test_every_road_tells_the_same(body: object) -> None:
    (direct,), (event,) = read(CLASSIC), read(body)
    assert isinstance(direct, Event)
    assert isinstance(event, Event)
    assert (event.id, event.type, event.subject, event.data) == (direct.id, direct.type, direct.subject, direct.data)
    assert abs(event.time - direct.time) < 1


@pytest.mark.parametrize(
    ("kind", "reason", "deletion", "expected"),
    [
        ("Object Created", "PutObject", None, "s3:ObjectCreated:Put"),
        ("Object Created", "POST Object", None, "s3:ObjectCreated:Post"),
        ("Object Created", "CopyObject", None, "s3:ObjectCreated:Copy"),
        ("Object Created", "CompleteMultipartUpload", None, "s3:ObjectCreated:CompleteMultipartUpload"),
        ("Object Deleted", "DeleteObject", "Permanently Deleted", "s3:ObjectRemoved:Delete"),
        ("Object Deleted", "DeleteObject", "Delete Marker Created", "s3:ObjectRemoved:DeleteMarkerCreated"),
        ("Object Deleted", "Lifecycle Expiration", "Permanently Deleted", "s3:LifecycleExpiration:Delete"),
        (
            "Object Deleted",
            "Lifecycle Expiration",
            "Delete Marker Created",
            "s3:LifecycleExpiration:DeleteMarkerCreated",
        ),
        ("Object Tags Added", "", None, "s3:ObjectTagging:Put"),
        ("Object Storage Class Changed", "", None, "s3:LifecycleTransition"),
    ],
)
def test_eventbridge_kinds_are_those_of_bucket_notifications(
    kind: str, reason: str, deletion: str | None, expected: str
) -> None:
    (event,) = read(bridged(kind, reason, **({"deletion-type": deletion} if deletion else {})))
    assert isinstance(event, Event)
    assert event.type == expected


def test_keys_of_eventbridge_are_taken_as_they_are() -> None:
    (event,) = read(bridged(object={"key": "100%25/a+b"}))
    assert isinstance(event, Event)
    assert event.subject == "100%25/a+b"


@pytest.mark.parametrize(
    ("settings", "taken"),
    [({}, True), ({"topics": {TOPIC}}, True), ({"topics": {TOPIC + "-2"}}, False)],
    ids=["any", "named", "another"],
)
def test_topics_can_be_pinned(settings: dict, taken: bool) -> None:
    (item,) = read(enveloped(CLASSIC), **settings)
    assert isinstance(item, Event) is taken
    if isinstance(item, Poison):
        assert "not among topic_arns" in item.error
        assert json.loads(item.payload)["TopicArn"] == TOPIC


def test_the_test_event_says_nothing_also_when_it_is_wrapped() -> None:
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "features"}
    assert read(test) == read(enveloped(test)) == ()


def test_an_empty_body_asks_whether_somebody_is_there_and_says_nothing() -> None:
    assert NotificationFormat().parse(Delivery("lake", b"", NOW, "request:1")) == ()
    (item,) = NotificationFormat().parse(Delivery("lake", b" ", NOW, "request:1"))
    assert isinstance(item, Poison)


KAFKA = {"bootstrap_servers": ["a:1"], "topics": ["t"], "group_id": "g"}


def roads() -> dict[str, Any]:
    """The parsers of each channel for bucket notifications except SQS."""
    hook = models.WebhookSource.model_validate({"type": "webhook", "path": "/hooks/x", "format": "s3"})
    topic = models.KafkaSource.model_validate({"type": "kafka", "format": "s3", **KAFKA})
    lake = models.S3Source.model_validate({"type": "s3", "via": {"webhook": {"path": "/hooks/x"}}})
    by_kafka = models.S3Source.model_validate({"type": "s3", "via": {"kafka": KAFKA}})
    return {
        "webhook": Hook.of("lake", hook).read,
        "s3 by webhook": Hook.of("lake", lake).read,
        "kafka": parser(topic),
        "s3 by kafka": _kafka(SourceContext("lake", None, None, Path()), by_kafka, by_kafka.via.kafka)._reader._parse,  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("road", ["webhook", "s3 by webhook", "kafka", "s3 by kafka"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(CLASSIC, id="bare"),
        pytest.param(bridged(), id="eventbridge"),
        pytest.param(enveloped(CLASSIC), id="sns"),
        pytest.param(enveloped(bridged()), id="eventbridge-by-sns"),
    ],
)
def test_a_payload_says_what_it_is_whatever_road_it_came_by(road: str, body: object) -> None:
    parse = roads()[road]
    (event,) = parse(Delivery("lake", json.dumps(body).encode(), NOW, "request:1"))
    (direct,) = read(CLASSIC)
    assert isinstance(event, Event)
    assert isinstance(direct, Event)
    assert (event.id, event.type, event.subject, event.data) == (direct.id, direct.type, direct.subject, direct.data)
    assert parse(Delivery("lake", b"", NOW, "request:1")) == ()
    test = json.dumps(enveloped({"Service": "Amazon S3", "Event": "s3:TestEvent"})).encode()
    assert parse(Delivery("lake", test, NOW, "request:1")) == ()


def test_raw_keys() -> None:
    (event,) = read(CLASSIC, keys="raw")
    assert isinstance(event, Event)
    assert event.subject == "churn%2Fa+b%2Bc.parquet"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(enveloped("{"), "not JSON", id="broken-message"),
        pytest.param(enveloped(""), "no Message", id="empty-message"),
        pytest.param(enveloped({}), "no list of Records", id="some-other-message"),
        pytest.param(enveloped(CLASSIC, Type="SubscriptionConfirmation"), "confirm the subscription", id="unconfirmed"),
        pytest.param(bridged("EC2 Instance State-change"), "not an object event of S3", id="other-detail-type"),
        pytest.param({**bridged(), "source": "aws.ec2"}, "aws.s3 are expected", id="other-source"),
        pytest.param(bridged(object={}), "no key", id="no-key"),
        pytest.param({**bridged(), "detail": None}, "no object detail", id="no-detail"),
        pytest.param({**bridged(), "time": "soon"}, "RFC 3339", id="time"),
        pytest.param([], "no list of Records", id="list"),
    ],
)
def test_what_cannot_be_read_is_kept(body: object, error: str) -> None:
    (item,) = read(body)
    assert isinstance(item, Poison)
    assert error in item.error


def test_a_notification_that_says_nothing_of_itself_is_known_by_its_message() -> None:
    bare = {"Records": [{"eventName": "ObjectRemoved:Delete", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]}
    format_, raw = NotificationFormat(), json.dumps(bare).encode()
    first, again, other = (format_.parse(Delivery("lake", raw, NOW, f"sqs:{n}"))[0].id for n in (1, 1, 2))
    assert first == again != other


def test_the_queue_says_when_if_the_notification_does_not() -> None:
    record = {**CLASSIC["Records"][0], "eventTime": None}
    (event,) = read({"Records": [record]})
    assert isinstance(event, Event)
    assert event.time == NOW - 5
