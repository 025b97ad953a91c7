"""Notifications sent directly by a bucket, through a real queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.s3.cloud import Cloud
    from tests.integration.s3.lake_engine import LakeEngine

KEYS = ["churn/a b+c.parquet", "churn/100%.csv", "churn/%2F%20.csv", "čas/ü 日本.parquet", "churn/x=1/part-0.parquet"]


def via(cloud: Cloud, queue: str, **settings: Any) -> dict[str, Any]:
    return {"sqs": {"queue_url": queue, "endpoint_url": cloud.url, **settings}}


def record(key: str, **fields: Any) -> dict[str, Any]:
    return {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "features"}, "object": {"key": key, "size": 1, "eTag": f"of-{key}", **fields}},
    }


def notification(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": records})


def test_every_object_counts_under_its_own_key_and_every_message_goes(cloud: Cloud, house: LakeEngine) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    cloud.notify(bucket, queue=queue)
    assert cloud.left(queue) == 1, "the test event"
    house.lake(via=via(cloud, queue))
    cloud.put(bucket, *KEYS)
    until(lambda: len(house.events()) == len(KEYS), "every object counted")
    assert sorted(house.events()) == sorted(("s3:ObjectCreated:Put", key, "matched") for key in KEYS)
    until(lambda: cloud.left(queue) == 0, "every message deleted, the test event too")
    assert house.errors() == []


def test_rules_tell_what_is_created_from_what_is_removed(cloud: Cloud, house: LakeEngine) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    cloud.notify(bucket, queue=queue)
    house.lake(via=via(cloud, queue))
    cloud.put(bucket, "a", "b")
    cloud.s3.delete_object(Bucket=bucket, Key="a")
    until(lambda: len(house.events()) == 3, "two came, one went")
    assert sorted(house.counted()) == [("forget", "a"), ("train", "a"), ("train", "b")]


def test_each_version_of_an_object_counts(cloud: Cloud, house: LakeEngine) -> None:
    """In the format of S3 itself; moto omits the version from its notifications."""
    queue = cloud.queue()
    cloud.send(queue, *(notification(record("a", versionId=version)) for version in ("v1", "v2", "v1")))
    house.lake(via=via(cloud, queue))
    until(lambda: house.outcomes == {"matched": 2, "duplicate": 1}, "two versions")
    versions = house.query("SELECT json_extract(data, '$.version') FROM events")
    assert sorted(versions) == [("v1",), ("v2",)]


def test_a_message_with_several_records_goes_when_all_are_stored(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue()
    cloud.send(queue, notification(*(record(f"k{n}") for n in range(7)), {"eventName": "ObjectCreated:Put"}))
    house.lake(via=via(cloud, queue))
    until(lambda: house.outcomes == {"matched": 7, "dead_lettered": 1}, "seven good ones and a bad one")
    assert house.subjects() == [f"k{n}" for n in range(7)]
    assert house.errors() == ["the record has no object s3.bucket"]
    until(lambda: cloud.left(queue) == 0, "the message deleted")


def test_a_message_is_deleted_only_after_the_commit(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue()
    house.lake(via=via(cloud, queue))
    with house.busy():
        cloud.send(queue, *(notification(record(f"k{n}")) for n in range(35)))
        until(lambda: cloud.in_hand(queue) == 35, "all received")
        assert cloud.left(queue) == 35
    until(lambda: len(house.events()) == 35, "all counted")
    until(lambda: cloud.left(queue) == 0, "all deleted, ten at a time")
    assert house.outcomes == {"matched": 35}


def test_what_is_told_twice_counts_once(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue()
    once = notification(record("a", sequencer="01"), record("b"))
    cloud.send(queue, once, once, once)
    house.lake(via=via(cloud, queue))
    until(lambda: house.outcomes == {"matched": 2, "duplicate": 4}, "twice more in vain")
    until(lambda: cloud.left(queue) == 0, "all deleted")
    assert sorted(house.counted()) == [("train", "a"), ("train", "b")]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param("hello", "not JSON", id="no JSON"),
        pytest.param('{"a": 1}', "not a bucket notification", id="something else"),
        pytest.param('{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {}}}]}', "the record has no key", id="no key"),  # noqa: E501
        pytest.param(notification(record("%FF")), "is not UTF-8", id="a key that is not text"),
        pytest.param(notification(record("a", size="big")), "is not a number of bytes", id="a size that is none"),
    ],
)  # fmt: skip
def test_poison_is_kept_blocks_nothing_and_does_not_come_again(
    cloud: Cloud, house: LakeEngine, body: str, why: str
) -> None:
    queue = cloud.queue()
    cloud.send(queue, body, notification(record("good")))
    house.lake(via=via(cloud, queue))
    until(lambda: house.outcomes == {"matched": 1, "dead_lettered": 1}, "both are through")
    assert why in house.errors()[0]
    until(lambda: cloud.left(queue) == 0, "both deleted")


def test_a_fifo_queue_keeps_the_order_of_each_group(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue(fifo=True)
    for group in "ab":
        cloud.send(queue, *(notification(record(f"{group}{n:02}")) for n in range(15)), group=group)
    house.lake(via=via(cloud, queue))
    until(lambda: len(house.events()) == 30, "all counted")
    for group in "ab":
        assert [key for key in house.subjects() if key[0] == group] == [f"{group}{n:02}" for n in range(15)]
    until(lambda: cloud.left(queue) == 0, "all deleted")
