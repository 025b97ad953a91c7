"""Notifications that SNS or EventBridge put into the queue."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette

from retrainer.sources.webhook import Webhooks
from tests.integration.s3.conftest import free_port
from tests.integration.s3.lake_engine import CREATED, REMOVED
from tests.integration.s3.test_sqs import KEYS, via
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.s3.cloud import Cloud
    from tests.integration.s3.lake_engine import LakeEngine


@pytest.mark.parametrize("raw", [pytest.param(False, id="enveloped"), pytest.param(True, id="raw")])
def test_a_topic_between_bucket_and_queue(cloud: Cloud, house: LakeEngine, raw: bool) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    topic = cloud.topic(queue, raw=raw)
    cloud.notify(bucket, topic=topic)
    house.lake(via=via(cloud, queue, topic_arns=[topic]))
    cloud.put(bucket, *KEYS)
    cloud.s3.delete_object(Bucket=bucket, Key=KEYS[0])
    until(lambda: len(house.events()) == len(KEYS) + 1, "all counted")
    assert sorted(house.counted()) == sorted([("forget", KEYS[0]), *(("train", key) for key in KEYS)])
    until(lambda: cloud.left(queue) == 0, "every message deleted, the test event too")
    assert house.errors() == []


def test_other_topics_than_those_named_are_refused(cloud: Cloud, house: LakeEngine) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    topic = cloud.topic(queue)
    cloud.notify(bucket, topic=topic)
    cloud.sqs.purge_queue(QueueUrl=queue)  # removes the test event
    house.lake(via=via(cloud, queue, topic_arns=["arn:aws:sns:eu-central-1:1:ours"]))
    cloud.put(bucket, "a")
    until(house.errors, "a dead letter")
    assert house.errors() == [f"from the SNS topic {topic}, which is not among topic_arns"]
    until(lambda: cloud.left(queue) == 0, "deleted")
    assert house.events() == []


def test_what_a_topic_says_of_itself_is_no_notification(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue()
    cloud.send(queue, json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": "arn:t", "Message": "confirm me"}))
    house.lake(via=via(cloud, queue))
    until(house.errors, "a dead letter")
    assert "confirm the subscription of the topic arn:t" in house.errors()[0]


def test_the_event_bus_between_bucket_and_queue(cloud: Cloud, house: LakeEngine) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    cloud.bridge_to(queue)
    cloud.notify(bucket, bridge=True)
    house.lake(via=via(cloud, queue))
    cloud.put(bucket, *KEYS)
    cloud.s3.delete_object(Bucket=bucket, Key=KEYS[0])
    until(lambda: len(house.events()) == len(KEYS) + 1, "all counted")
    assert sorted(house.counted()) == sorted([("forget", KEYS[0]), *(("train", key) for key in KEYS)])
    until(lambda: cloud.left(queue) == 0, "all deleted")
    assert house.errors() == []


def test_what_comes_on_two_roads_counts_once(cloud: Cloud, house: LakeEngine) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    cloud.notify(bucket, queue=queue, topic=cloud.topic(queue))
    house.lake(via=via(cloud, queue))
    cloud.put(bucket, *KEYS)
    wanted = {"matched": len(KEYS), "duplicate": len(KEYS)}
    until(lambda: house.outcomes == wanted, f"{wanted}")
    assert sorted(house.counted()) == sorted(("train", key) for key in KEYS)


def test_a_topic_posts_to_a_webhook(cloud: Cloud, house: LakeEngine) -> None:
    """SNS sends its JSON as text/plain. A subscription has to be confirmed manually."""
    source = {"type": "s3", "via": {"webhook": {"path": "/hooks/lake"}}}
    config: Any = house.load({"lake": source}, [CREATED, REMOVED]).sources["lake"]
    hooks = Webhooks({"lake": config}, house.engine, house.clock, lambda _: "")
    bucket = cloud.bucket()
    topic = cloud.sns.create_topic(Name=cloud.name)["TopicArn"]
    with listening(hooks) as port:
        cloud.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/hooks/lake")
        cloud.notify(bucket, topic=topic)
        cloud.put(bucket, *KEYS)
        until(lambda: len(house.events()) == len(KEYS), "all counted")
    assert sorted(house.counted()) == sorted(("train", key) for key in KEYS)
    assert all("confirm the subscription" in error for error in house.errors())


@contextmanager
def listening(hooks: Webhooks) -> Iterator[int]:
    port = free_port()
    app = Starlette(routes=[hooks.route()])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the webhook listens")
        yield port
    finally:
        server.should_exit = True
        thread.join()
