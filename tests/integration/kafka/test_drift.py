"""Drift values that a job pushes through Kafka: one record for each value, in order."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.kafka.kit import NAME, kafka
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker


def plain(value: float | None, at: float) -> bytes:
    return json.dumps({"metric": "psi", "value": value, "labels": {"model": "churn"}, "time": at}).encode()


def cloudevent(value: float | None, at: float) -> bytes:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    outer = {"specversion": "1.0", "id": f"{at}", "source": "/drift", "type": "drift.measured", "time": moment}
    data = {"metric": "psi", "value": value, "labels": {"model": "churn"}}
    return json.dumps({**outer, "datacontenttype": "application/json", "data": data}).encode()


STRUCTURED = [("content-type", b"application/cloudevents+json")]


@pytest.mark.parametrize(
    ("settings", "written", "headers"),
    [
        pytest.param({"format": "json", "time": "data.time"}, plain, [], id="plain JSON"),
        pytest.param({"format": "cloudevents"}, cloudevent, STRUCTURED, id="CloudEvents"),
    ],
)
def test_values_that_cross_start_one_run_each_time(
    broker: Broker,
    house: RunningEngine,
    settings: dict[str, Any],
    written: Callable[[float | None, float], bytes],
    headers: list[tuple[str, bytes]],
) -> None:
    metric = {"source": NAME, "match": {"metric": "psi", "labels.model": "churn"}, "above": 0.2, "clear": 0.1}
    rule = {
        "name": "churn",
        "triggers": {"drift": {"metric": {**metric, "consecutive": 2, "jitter": "0s"}}},
        "limits": {"overlap": "allow_all"},
        "submit": {"workflow_template": "train", "parameters": {"values": "${trigger.values}"}},
    }
    topic = broker.create_topic(partitions=1)
    house.source(NAME, kafka(broker, topic, **settings), [rule])
    values = [0.05, 0.3, 0.05, 0.3, 0.31, None, 0.4, 0.15, 0.3, 0.05, 0.5, 0.5]
    began = int(time.time()) - 100
    broker.produce(topic, [written(v, began + i) for i, v in enumerate(values)], headers=headers)
    until(lambda: house.outcomes.get("matched") == len(values), "all values are weighed")
    told = [json.loads(text)["values"] for (text,) in house.query("SELECT parameters FROM runs ORDER BY id")]
    assert [json.loads(one) for one in told] == [{"drift": 0.31}, {"drift": 0.5}]


def test_what_is_no_value_decides_nothing_and_is_kept(broker: Broker, house: RunningEngine) -> None:
    metric = {"source": NAME, "match": {"metric": "psi"}, "above": 0.2, "jitter": "0s"}
    rule = {"name": "churn", "triggers": {"drift": {"metric": metric}}, "submit": {"workflow_template": "train"}}
    topic = broker.create_topic(partitions=1)
    house.source(NAME, kafka(broker, topic), [rule])
    bad = [b'{"metric": "psi", "value": NaN}', b'{"metric": "psi", "value": "high"}', b'{"metric": "psi"}', b"psi 0.3"]
    broker.produce(topic, [*bad, b'{"metric": "psi", "value": 0.1}'])
    until(lambda: house.outcomes == {"dead_lettered": 4, "matched": 1}, "all are judged")
    assert house.query("SELECT 1 FROM runs") == []
    reasons = [reason for (reason,) in house.query("SELECT reason FROM dead_letters ORDER BY id")]
    assert reasons == ["unreadable", "raised", "raised", "unreadable"]
