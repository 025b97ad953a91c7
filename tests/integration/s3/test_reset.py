"""A halted partition of notifications continues from the offset that an operator sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from retrainer.api.source_operations import Seekable
from tests.houses.engine import reset_part
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.broker import Broker
    from tests.integration.s3.cloud import Cloud
    from tests.integration.s3.lake_engine import LakeEngine


def _notification(key: str) -> bytes:
    thing = {"key": key, "size": 1, "eTag": "e", "sequencer": "17A"}
    record = {"eventVersion": "2.0", "eventSource": "minio:s3", "eventTime": "2026-11-24T10:00:00Z"}
    s3 = {"bucket": {"name": "lake"}, "object": thing}
    return orjson.dumps({"Records": [{**record, "eventName": "s3:ObjectCreated:Put", "s3": s3}]})


def test_a_topic_of_notifications_that_was_made_anew(broker: Broker, house: LakeEngine) -> None:
    topic = broker.create_topic(partitions=1)
    broker.produce(topic, [_notification("before.csv")])
    source = house.lake(via={"kafka": {"bootstrap_servers": [broker.servers], "topics": [topic], "group_id": topic}})
    until(lambda: house.subjects() == ["before.csv"], "it is read")
    broker.delete_topic(topic)
    until(lambda: source.last_error, "the topic is gone")
    broker.create_topic(topic, partitions=1)
    broker.produce(topic, [_notification("after.csv")])
    until(lambda: f"{topic}/0" in source.halted, "nobody reads it")
    assert isinstance(source, Seekable)
    reset_part(house.engine, "lake", f"{topic}/0", *source.resolve(f"{topic}/0", "earliest"))
    until(lambda: house.subjects() == ["before.csv", "after.csv"], "it goes on with the new one")


def test_a_queue_has_no_positions(cloud: Cloud, house: LakeEngine) -> None:
    source = house.lake(via={"sqs": {"queue_url": cloud.queue(), "endpoint_url": cloud.url}})
    assert isinstance(source, Seekable)
    with pytest.raises(ValueError, match="no positions that could be reset"):
        source.resolve("orders/0", "earliest")
