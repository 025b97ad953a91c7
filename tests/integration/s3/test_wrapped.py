"""Notifications that SNS or EventBridge put into the queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.s3.house import eventually
from tests.integration.s3.test_sqs import KEYS, via

if TYPE_CHECKING:
    from tests.integration.s3.cloud import Cloud
    from tests.integration.s3.house import House


@pytest.mark.parametrize("raw", [pytest.param(False, id="enveloped"), pytest.param(True, id="raw")])
def test_a_topic_between_bucket_and_queue(cloud: Cloud, house: House, raw: bool) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    topic = cloud.topic(queue, raw=raw)
    cloud.notify(bucket, topic=topic)
    house.lake(via=via(cloud, queue, topic_arns=[topic]))
    cloud.put(bucket, *KEYS)
    cloud.s3.delete_object(Bucket=bucket, Key=KEYS[0])
    eventually(lambda: len(house.told()) == len(KEYS) + 1, "all counted")
    assert sorted(house.counted()) == sorted([("forget", KEYS[0]), *(("train", key) for key in KEYS)])
    eventually(lambda: cloud.left(queue) == 0, "every message deleted, the test event too")
    assert house.errors() == []


def test_other_topics_than_those_named_are_refused(cloud: Cloud, house: House) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    topic = cloud.topic(queue)
    cloud.notify(bucket, topic=topic)
    cloud.sqs.purge_queue(QueueUrl=queue)  # the test event
    house.lake(via=via(cloud, queue, topic_arns=["arn:aws:sns:eu-central-1:1:ours"]))
    cloud.put(bucket, "a")
    eventually(house.errors, "a dead letter")
    assert house.errors() == [f"from the SNS topic {topic}, which is not among topic_arns"]
    eventually(lambda: cloud.left(queue) == 0, "deleted")
    assert house.told() == []


def test_what_a_topic_says_of_itself_is_no_notification(cloud: Cloud, house: House) -> None:
    queue = cloud.queue()
    cloud.send(queue, json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": "arn:t", "Message": "confirm me"}))
    house.lake(via=via(cloud, queue))
    eventually(house.errors, "a dead letter")
    assert "confirm the subscription of the topic arn:t" in house.errors()[0]


def test_the_event_bus_between_bucket_and_queue(cloud: Cloud, house: House) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    cloud.bridge_to(queue)
    cloud.notify(bucket, bridge=True)
    house.lake(via=via(cloud, queue))
    cloud.put(bucket, *KEYS)
    cloud.s3.delete_object(Bucket=bucket, Key=KEYS[0])
    eventually(lambda: len(house.told()) == len(KEYS) + 1, "all counted")
    assert sorted(house.counted()) == sorted([("forget", KEYS[0]), *(("train", key) for key in KEYS)])
    eventually(lambda: cloud.left(queue) == 0, "all deleted")
    assert house.errors() == []


def test_what_comes_on_two_roads_counts_once(cloud: Cloud, house: House) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    cloud.notify(bucket, queue=queue, topic=cloud.topic(queue))
    house.lake(via=via(cloud, queue))
    cloud.put(bucket, *KEYS)
    wanted = {"matched": len(KEYS), "duplicate": len(KEYS)}
    eventually(lambda: house.outcomes == wanted, f"{wanted}")
    assert sorted(house.counted()) == sorted(("train", key) for key in KEYS)
