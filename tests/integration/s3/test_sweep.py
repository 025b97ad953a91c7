"""A sweep finds objects whose notification was lost by listing the buckets. No object is counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.test_sqs import notification, via
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.s3.cloud import Cloud
    from tests.integration.s3.lake_engine import LakeEngine


class Lake:
    """A bucket that notifies a queue and is swept continuously."""

    def __init__(self, cloud: Cloud, house: LakeEngine) -> None:
        self.cloud, self.house = cloud, house
        self.bucket, self.queue = cloud.bucket(), cloud.queue()
        self.settings: dict[str, Any] = {
            "via": via(cloud, self.queue),
            "endpoint_url": cloud.url,
            "sweep": "300ms",
            "sweep_settle": "0s",
            "buckets": [{"name": self.bucket}],
        }

    def start(self, **settings: Any) -> None:
        self.source = self.house.lake(**{**self.settings, **settings})
        self.swept(1)

    def swept(self, times: int = 2) -> None:
        """Wait for the end of ``times`` sweeps. The second one began after this call."""
        sweep = self.source._sweep  # type: ignore[attr-defined]
        for _ in range(times):
            before = sweep.last_sweep
            until(lambda before=before: sweep.last_sweep != before, "a sweep")

    def notification(self, key: str, **fields: Any) -> str:
        """The notification that the bucket would have sent."""
        head = self.cloud.s3.head_object(Bucket=self.bucket, Key=key)
        thing = {"key": key, "size": head["ContentLength"], "eTag": head["ETag"].strip('"'), **fields}
        made = {"bucket": {"name": self.bucket}, "object": thing}
        return notification(
            {"eventName": "ObjectCreated:Put", "eventTime": head["LastModified"].isoformat(), "s3": made}
        )


@pytest.fixture
def lake(cloud: Cloud, house: LakeEngine) -> Lake:
    return Lake(cloud, house)


def test_what_nobody_told_of_is_found_and_counted_once(lake: Lake) -> None:
    lake.start()
    lake.cloud.put(lake.bucket, "a b+c", "100%", "ü")
    until(lambda: len(lake.house.events()) == 3, "found")
    lake.swept()
    assert sorted(lake.house.events()) == sorted(
        ("s3:ObjectCreated:Sweep", key, "matched") for key in ("a b+c", "100%", "ü")
    )
    assert lake.house.outcomes == {"matched": 3}


def test_a_full_bucket_is_not_news(lake: Lake) -> None:
    """Times in listings are whole seconds: the first sweep may be in the same second as earlier objects."""
    lake.cloud.put(lake.bucket, *(f"old-{n}" for n in range(5)))
    (head,) = lake.cloud.s3.list_objects_v2(Bucket=lake.bucket, MaxKeys=1)["Contents"]
    until(lambda: lake.house.clock.now() > head["LastModified"].timestamp() + 2, "the clock went on")
    lake.start()
    lake.swept()
    assert lake.house.events() == []
    lake.cloud.put(lake.bucket, "new")
    until(lambda: lake.house.subjects() == ["new"], "found")


def test_a_notification_that_comes_late_is_a_repeat(lake: Lake) -> None:
    lake.start()
    lake.cloud.put(lake.bucket, "a")
    until(lambda: lake.house.subjects() == ["a"], "found by the sweep")
    lake.cloud.send(lake.queue, lake.notification("a", sequencer="01"))
    until(lambda: lake.house.outcomes == {"matched": 1, "duplicate": 1}, "late")
    until(lambda: lake.cloud.left(lake.queue) == 0, "deleted")


def test_what_was_notified_is_not_found_again(lake: Lake) -> None:
    lake.cloud.notify(lake.bucket, queue=lake.queue)
    lake.start(sweep_settle="2s")
    lake.cloud.put(lake.bucket, *(f"k{n}" for n in range(20)))
    until(lambda: len(lake.house.events()) == 20, "notified")
    last = lake.house.query("SELECT max(time) FROM events")[0][0]
    until(lambda: lake.house.clock.now() > last + 3, "settled")
    lake.swept()
    assert lake.house.outcomes == {"matched": 20}
    assert {kind for kind, _, _ in lake.house.events()} == {"s3:ObjectCreated:Put"}


def test_purged_messages_are_made_good(lake: Lake) -> None:
    lake.cloud.notify(lake.bucket, queue=lake.queue)
    lake.start()
    lake.source.stop()
    lake.cloud.put(lake.bucket, *(f"k{n}" for n in range(20)))
    lake.cloud.sqs.purge_queue(QueueUrl=lake.queue)
    lake.start()
    until(lambda: lake.house.outcomes == {"matched": 20}, "all found")
    assert sorted(lake.house.counted()) == sorted(("train", f"k{n}") for n in range(20))


def test_an_overwritten_object_counts_again(lake: Lake) -> None:
    lake.start()
    lake.cloud.put(lake.bucket, "a", body=b"1")
    until(lambda: lake.house.outcomes == {"matched": 1}, "found")
    lake.cloud.put(lake.bucket, "a", body=b"2")
    until(lambda: lake.house.outcomes == {"matched": 2}, "found anew")
    lake.swept()
    assert lake.house.counted() == [("train", "a"), ("train", "a")]


def test_an_object_that_went_and_came_back_counts_again(lake: Lake) -> None:
    """The content is the same: only the time of writing, in whole seconds, differs."""
    lake.start()
    lake.cloud.put(lake.bucket, "a")
    until(lambda: lake.house.outcomes == {"matched": 1}, "found")
    lake.cloud.s3.delete_object(Bucket=lake.bucket, Key="a")
    until(lambda: lake.house.engine.objects("lake") == {}, "forgotten, without an event")
    first = lake.house.query("SELECT time FROM events")[0][0]
    until(lambda: lake.house.clock.now() > first + 3, "the clock went on")
    lake.cloud.put(lake.bucket, "a")
    until(lambda: lake.house.outcomes == {"matched": 2}, "found anew")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        pytest.param("0055AED6", "0055AED7", id="sequencers of one length tell it"),
        pytest.param("FF", "0055AED7", id="of two lengths they do not"),
        pytest.param("", "", id="there are none"),
    ],
)
def test_notifications_out_of_order_count_once_each(lake: Lake, older: str, newer: str) -> None:
    lake.start(sweep="1h")
    lake.cloud.put(lake.bucket, "a", body=b"older")
    first = lake.notification("a", sequencer=older)
    lake.cloud.put(lake.bucket, "a", body=b"newer")
    second = lake.notification("a", sequencer=newer)
    lake.cloud.send(lake.queue, second)
    until(lambda: lake.house.outcomes == {"matched": 1}, "the newer first")
    lake.cloud.send(lake.queue, first)
    until(lambda: lake.house.outcomes == {"matched": 2}, "then the older")
    lake.source.stop()
    lake.start()
    lake.swept()
    assert {k: n for k, n in lake.house.outcomes.items() if k != "duplicate"} == {"matched": 2}, "nothing is news"
    etag = lake.cloud.s3.head_object(Bucket=lake.bucket, Key="a")["ETag"].strip('"')
    assert lake.house.engine.objects("lake") == {f"{lake.bucket}/a": etag}, "what is there is what is known"


def test_a_notification_that_comes_after_the_object_was_overwritten(lake: Lake) -> None:
    """The sweep found the first content. Its notification arrives after the second content was reported."""
    lake.start()
    lake.cloud.put(lake.bucket, "a", body=b"older")
    first = lake.notification("a", sequencer="0001")
    until(lambda: lake.house.outcomes == {"matched": 1}, "found by the sweep")
    lake.source.stop()
    lake.cloud.put(lake.bucket, "a", body=b"newer")
    lake.cloud.send(lake.queue, lake.notification("a", sequencer="0002"))
    lake.house.lake(**{**lake.settings, "sweep_settle": "1h"})
    until(lambda: lake.house.outcomes == {"matched": 2}, "told of")
    lake.cloud.send(lake.queue, first)
    until(lambda: lake.house.outcomes == {"matched": 2, "duplicate": 1}, "the late one is a repeat")


def test_prefixes_and_a_bucket_that_is_not_there(lake: Lake) -> None:
    buckets = [{"name": lake.bucket, "prefix": "churn/"}, {"name": f"{lake.bucket}-gone"}]
    source = lake.house.lake(**{**lake.settings, "buckets": buckets})
    until(lambda: source.last_error, "it says so")
    assert f"bucket {lake.bucket}-gone: does not exist (NoSuchBucket" in str(source.last_error)
    lake.cloud.put(lake.bucket, "churn/a", "other/b")
    until(lake.house.subjects, "the other bucket is swept all the same")
    lake.cloud.bucket("features-gone")
    until(lambda: source.last_error is None, "it goes on")
    assert lake.house.subjects() == ["churn/a"]
    assert lake.house.errors() == []
