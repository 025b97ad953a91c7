"""Received messages stay invisible while the engine is slow, and are redelivered when no consumer holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.s3.test_sqs import notification, record, via
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.s3.cloud import Cloud
    from tests.integration.s3.lake_engine import LakeEngine

SOON = "2s"


def test_a_message_stays_hidden_until_it_is_stored(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue(visibility=2)
    house.lake(via=via(cloud, queue, visibility_timeout=SOON))
    with house.busy():
        cloud.send(queue, *(notification(record(f"k{n}")) for n in range(12)))
        until(lambda: cloud.in_hand(queue) == 12, "all received")
        rival = cloud.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=7)
        assert "Messages" not in rival, "three timeouts have passed, and it is still ours"
    until(lambda: cloud.left(queue) == 0, "all deleted")
    assert house.outcomes == {"matched": 12}, "nothing came twice"


def test_what_another_received_and_never_deleted_comes_to_us(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue()
    cloud.send(queue, notification(record("a")))
    assert cloud.sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1)["Messages"]
    house.lake(via=via(cloud, queue))
    until(lambda: house.outcomes == {"matched": 1}, "its time-out is over")
    until(lambda: cloud.left(queue) == 0, "deleted")


def test_what_was_stored_but_not_deleted_is_a_repeat(cloud: Cloud, house: LakeEngine) -> None:
    """The receipt handle is void at the time of the delete, because another consumer has received the message."""
    queue = cloud.queue()
    cloud.send(queue, notification(record("a")), notification(record("b")))
    source = house.lake(via=via(cloud, queue, visibility_timeout=SOON))
    until(lambda: house.outcomes == {"matched": 2}, "counted")
    source.stop()
    cloud.send(queue, notification(record("a")), notification(record("b")))
    house.lake(via=via(cloud, queue, visibility_timeout=SOON))
    until(lambda: house.outcomes == {"matched": 2, "duplicate": 2}, "known")
    until(lambda: cloud.left(queue) == 0, "deleted")


def test_a_source_that_is_stopped_gives_back_what_is_not_stored(cloud: Cloud, house: LakeEngine) -> None:
    queue = cloud.queue()
    source = house.lake(via=via(cloud, queue, visibility_timeout=SOON))
    with house.busy():
        cloud.send(queue, *(notification(record(f"k{n}")) for n in range(5)))
        until(lambda: house.engine.queued == 5, "all received and offered")
        source.stop()
        taken = cloud.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=10)["Messages"]
        assert taken, "once its timeout is over"
    until(lambda: house.outcomes == {"matched": 5}, "what was offered is stored nevertheless")


def test_back_pressure_stops_receiving_and_loses_nothing(cloud: Cloud, small_house: LakeEngine) -> None:
    """The engine's queue takes 20 events."""
    house, queue = small_house, cloud.queue()
    house.lake(via=via(cloud, queue, visibility_timeout="10s"))
    with house.busy():
        cloud.send(queue, *(notification(record(f"k{n}")) for n in range(300)))
        until(lambda: 10 < house.engine.queued < cloud.in_hand(queue), "the engine is full, one batch waits")
        assert cloud.in_hand(queue) <= 30, "no more is received"
        assert cloud.left(queue) == 300
    until(lambda: house.outcomes == {"matched": 300}, "each counted once")
    until(lambda: cloud.left(queue) == 0, "all deleted")
    assert sorted(house.subjects()) == sorted(f"k{n}" for n in range(300))
