"""Records in each format, as their producers write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.kafka.kit import NAME, kafka, rule
from tests.waiting import until

if TYPE_CHECKING:
    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker

Told = tuple[str, str, dict[str, Any]]
CE = {"ce_specversion": "1.0", "ce_id": "o-1", "ce_source": "/shop", "ce_type": "order.placed", "ce_subject": "7"}
S3 = {
    "eventVersion": "2.1",
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "lake"}, "object": {"key": "churn%2Fa+b.csv", "size": 5, "sequencer": "0055"}},
}


def headers(values: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in values.items()]


def structured() -> bytes:
    event = {name.removeprefix("ce_"): value for name, value in CE.items()}
    return json.dumps({**event, "data": {"n": 1}}).encode()


@pytest.mark.parametrize(
    ("form", "value", "given", "expected"),
    [
        pytest.param("json", b'{"n": 1}', {}, ("json", "", {"n": 1}), id="json"),
        pytest.param(
            "cloudevents",
            b'{"n": 1}',
            {**CE, "content-type": "application/json"},
            ("order.placed", "7", {"n": 1}),
            id="cloudevents, binary",
        ),
        pytest.param(
            "cloudevents",
            structured(),
            {"content-type": "application/cloudevents+json; charset=utf-8"},
            ("order.placed", "7", {"n": 1}),
            id="cloudevents, structured",
        ),
        pytest.param(
            "cloudevents", structured(), {}, ("order.placed", "7", {"n": 1}), id="cloudevents, without a header"
        ),
    ],
)
def test_a_record_is_an_event(
    broker: Broker, house: RunningEngine, form: str, value: bytes, given: dict[str, str], expected: Told
) -> None:
    topic = broker.create_topic()
    broker.produce(topic, [value], headers=headers(given))
    house.source(NAME, kafka(broker, topic, format=form), [rule()])
    until(lambda: told(house), "an event")
    assert told(house) == [expected]
    assert not house.errors()


@pytest.mark.parametrize(
    ("form", "more"),
    [
        pytest.param("json", {}, id="json, in a header"),
        pytest.param("cloudevents", CE, id="cloudevents, binary, in a header beside the others"),
        pytest.param("cloudevents", {**CE, "as": "ce_retrainerrun"}, id="cloudevents, binary, as an attribute"),
    ],
)
def test_what_a_run_wrote_itself_does_not_count(
    broker: Broker, house: RunningEngine, form: str, more: dict[str, str]
) -> None:
    topic = broker.create_topic()
    name = more.get("as", "retrainer-run")
    given = {key: value for key, value in more.items() if key != "as"}
    house.source(NAME, kafka(broker, topic, format=form), [rule(events=1)])
    broker.produce(topic, [b'{"n": 1}'], headers=headers(given))
    until(lambda: house.query("SELECT id FROM runs"), "a run is born")
    ((run,),) = house.query("SELECT id FROM runs")
    own = given | ({"ce_id": "o-2"} if given else {}) | {name: run}
    broker.produce(topic, [b'{"n": 2}'], headers=headers(own))
    until(lambda: len(told(house)) == 2, "both were read")
    assert house.query("SELECT outcome FROM events ORDER BY seq") == [("matched",), ("filtered",)]
    assert house.query("SELECT count(*) FROM runs") == [(1,)]


def test_a_cloudevent_that_is_sent_twice_counts_once(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    for partition in range(3):
        broker.produce(topic, [b'{"n": 1}'] * 2, headers=headers(CE), partition=partition)
    source = house.source(NAME, kafka(broker, topic, format="cloudevents"), [rule()])
    until(lambda: sum(house.engine.parts(NAME).values()) == 6 and source.lag == 0, "all are read")
    assert len(told(house)) == 1


def test_a_bucket_notification_is_an_event_for_each_of_its_objects(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    other = {**S3, "s3": {**S3["s3"], "object": {"key": "churn/c.csv", "size": 6}}}  # type: ignore[dict-item]
    broker.produce(topic, [json.dumps({"Records": [S3, other]}).encode()])
    house.source(NAME, kafka(broker, topic, format="s3"), [rule()])
    until(lambda: len(told(house)) == 2, "both events")
    assert [(kind, subject, data["size"]) for kind, subject, data in told(house)] == [
        ("s3:ObjectCreated:Put", "churn/a b.csv", 5),
        ("s3:ObjectCreated:Put", "churn/c.csv", 6),
    ]


def told(house: RunningEngine) -> list[Told]:
    rows = house.query("SELECT type, subject, data FROM events ORDER BY seq")
    return [(kind, subject, json.loads(data)) for kind, subject, data in rows]


def test_what_sns_wraps_is_unwrapped_in_records_too(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic(partitions=1)
    wrapped = {"Type": "Notification", "TopicArn": "arn:t", "Message": json.dumps({"Records": [S3]})}
    test = {"Type": "Notification", "TopicArn": "arn:t", "Message": json.dumps({"Event": "s3:TestEvent"})}
    broker.produce(topic, [json.dumps(body).encode() for body in (test, wrapped)])
    house.source(NAME, kafka(broker, topic, format="s3"), [rule()])
    until(lambda: told(house), "an event")
    assert [(kind, subject) for kind, subject, _ in told(house)] == [("s3:ObjectCreated:Put", "churn/a b.csv")]
    assert house.errors() == []


def test_an_attribute_named_kafka_is_the_senders_and_holds_nothing_up(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic(partitions=1)
    broker.produce(topic, [b"{}"], headers=headers({**CE, "ce_kafka": "x"}), key=b"k-1")
    house.source(NAME, kafka(broker, topic, format="cloudevents"), [rule(match={"event.attributes.kafka.key": "k-1"})])
    until(lambda: told(house), "an event")
    assert house.query("SELECT outcome FROM events") == [("matched",)]


class AsInC(str):
    """A header name as C clients may write it: arbitrary bytes."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff\xfe"


def test_a_header_name_that_is_no_text_holds_nothing_up(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic(partitions=1)
    broker.produce(topic, [b'{"n": 1}'], headers=[(AsInC("name"), b"v")])
    broker.produce(topic, [b'{"n": 2}'])
    house.source(NAME, kafka(broker, topic), [rule()])
    until(lambda: len(told(house)) == 2, "both events")
    assert [data for _, _, data in told(house)] == [{"n": 1}, {"n": 2}]
