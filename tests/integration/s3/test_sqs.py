"""Notifications through a real queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.s3.house import eventually

if TYPE_CHECKING:
    from tests.integration.s3.cloud import Cloud
    from tests.integration.s3.house import House

KEYS = ["churn/a b+c.parquet", "churn/100%.csv", "čas/ü.parquet", "churn/x=1/part-0.parquet"]


def test_a_bucket_that_notifies_a_queue(cloud: Cloud, house: House) -> None:
    bucket, queue = cloud.bucket(), cloud.queue()
    cloud.notify(bucket, queue=queue)
    house.lake(via={"sqs": {"queue_url": queue, "endpoint_url": cloud.url}})
    cloud.put(bucket, *KEYS)
    eventually(lambda: len(house.told()) == len(KEYS), "every object counted")
    assert sorted(house.told()) == sorted(("s3:ObjectCreated:Put", key, "matched") for key in KEYS)
    eventually(lambda: cloud.left(queue) == 0, "every message deleted, the test event too")
    assert house.errors() == []
