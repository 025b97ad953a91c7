"""Any event of a sender is folded or becomes a dead letter, and overwrites no stored fields of retrainer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrainer.engine.intake.dead_letters import letter_event, shown
from retrainer.engine.intake.samples import QUERY
from retrainer.engine.replication import inbox
from retrainer.event import Event, Poison, split_attributes
from retrainer.rules.expression import event_scope
from retrainer.sources.base import Batch, ReplayScope
from retrainer.sources.formats import alertmanager, cloudevents, s3
from retrainer.sources.formats.json import JsonFormat
from retrainer.sources.formats.notification import NotificationFormat
from retrainer.sources.formats.payload import Delivery
from tests.unit.engine.kit import START, data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.houses.engine import DrivenEngine

PLACE = {"topic": "orders", "partition": 3, "offset": 41, "timestamp": None, "headers": {"a": "b"}, "key": "k"}
STRUCTURED = {"content-type": cloudevents.STRUCTURED}


def structured(**attributes: Any) -> bytes:
    return orjson.dumps({"specversion": "1.0", "id": "1", "source": "/x", "type": "t", **attributes})


def read(body: bytes, headers: dict[str, str] = STRUCTURED, record: dict[str, Any] | None = None) -> Event | Poison:
    delivery = Delivery("push", body, START, "request:1", headers, record=record or {})
    (item,) = (cloudevents.parse_record if record else cloudevents.parse)(delivery)
    return item


BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t"}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(read(structured(kafka="x")), id="a text, structured"),
        pytest.param(read(structured(kafka=True)), id="a boolean, structured"),
        pytest.param(read(b"{}", {**BINARY, "ce-kafka": "x"}), id="a text, binary"),
        pytest.param(read(b"{}", {**BINARY, "ce-kafka": orjson.dumps(PLACE).decode()}), id="a map as text, binary"),
        pytest.param(read(structured(record="x", takes_back="y", place="z")), id="named like fields of ours"),
    ],
)
def test_an_attribute_of_the_sender_takes_the_place_of_nothing(make: Any, item: Event) -> None:
    bench: DrivenEngine = make({"triggers": data(at_least={"events": 9})})
    assert bench.deliver([item]) == ["matched"]
    assert item.record == {}
    (row,) = bench.query("SELECT attributes FROM events")
    attributes, record = split_attributes(orjson.loads(row[0]))
    assert (attributes, record) == (item.attributes, {})


def test_an_attribute_that_is_a_map_is_refused_as_only_ours_are() -> None:
    item = read(structured(kafka=PLACE))
    assert isinstance(item, Poison)
    assert "kafka" in item.error


def test_a_record_wins_over_an_attribute_of_its_name() -> None:
    item = read(structured(kafka="x", region="eu"), record=PLACE)
    assert isinstance(item, Event)
    assert (item.attributes["kafka"], item.record) == ("x", PLACE)
    assert event_scope(item)["attributes"] == {**item.attributes, "kafka": PLACE}
    assert (item.place, item.label) == (("orders/3", 41), "k")


def test_a_place_is_the_same_after_store_inbox_and_dead_letter(make: Any) -> None:
    asked = {"event.attributes.kafka.topic": "ord*", "event.attributes.kafka.headers.a": "b"}
    bench: DrivenEngine = make({"triggers": data(asked, where="event.attributes.kafka.partition == 3")})
    event = Event("push", "e1", "t", START, {}, attributes={"region": "eu"}, record=PLACE)
    emitted = orjson.loads(orjson.dumps(inbox._to_json(Batch("push", [event]))))
    (seen_at,) = inbox._from_json("push", emitted).items
    letter = letter_event("push", "e1", orjson.dumps(shown(event)))
    assert seen_at == letter == event
    assert bench.deliver([event]) == ["matched"]
    (row,) = bench.query("SELECT attributes FROM events")
    assert split_attributes(orjson.loads(row[0])) == ({"region": "eu"}, PLACE)


def test_what_a_sender_calls_an_answer_of_prometheus_is_a_pushed_value(make: Any) -> None:
    bench: DrivenEngine = make(
        {"triggers": {"m": {"metric": {"source": "push", "above": 1, "jitter": "0s"}}}},
    )
    body = structured(type=QUERY, data={"expr": "up", "sample_time": {}, "series": [1], "value": 5})
    item = read(body)
    assert bench.deliver([item]) == ["matched"]
    assert len(bench.query("SELECT id FROM runs")) == 1


# -- arbitrary events --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "key",
        "kafka",
        "size",
        "rows",
        "value",
        "labels",
        "metric",
        "bucket",
        "sequencer",
        "etag",
        "expr",
        "series",
        "sample_time",
        "error",
        "fingerprint",
        "status",
        "startsAt",
        "topic",
        "partition",
        "offset",
        "headers",
        "retrainerrun",
        "Records",
        "s3",
        "object",
        "name",
        "eventName",
        "detail-type",
        "detail",
        "source",
        "alerts",
        "version",
        "Type",
        "TopicArn",
        "Message",
        "specversion",
        "id",
        "type",
        "subject",
        "time",
        "data",
        "datacontenttype",
        "k",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["4", "1", "firing", "2026-01-05T00:00:00Z", "a\0b", "1.0", QUERY, "s3:ObjectCreated:Put", "12"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=6)),
    max_leaves=12,
)
OURS = ("expr", "sample_time", "series", "bucket", "key", "size", "rows", "sequencer", "value", "labels", "error")
OBJECTS = st.dictionaries(NAMES, ANYTHING, max_size=8)
CLOUDEVENTS = st.builds(
    lambda more, kind, body: {**more, "specversion": "1.0", "id": "1", "source": "/x", "type": kind, "data": body},
    st.dictionaries(NAMES, SCALARS, max_size=4),
    st.sampled_from([QUERY, QUERY, "t", "s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete", "alertmanager.firing"]),
    st.one_of(OBJECTS, st.fixed_dictionaries({}, optional=dict.fromkeys(OURS, ANYTHING)), ANYTHING),
)
ALERTS = st.builds(
    lambda alert: {"version": "4", "alerts": [{"status": "firing", "fingerprint": "f", **alert}]}, OBJECTS
)
RECORDS = st.builds(
    lambda name, key, more: {
        "Records": [{"eventName": name, "s3": {"bucket": {"name": "b"}, "object": {"key": key, **more}}}]
    },
    st.sampled_from(["s3:ObjectCreated:Put", "a\0", "ObjectRemoved:Delete"]),
    st.one_of(st.sampled_from(["a%00b", "a+b", "%ff"]), SCALARS),
    OBJECTS,
)
FORMATS: list[tuple[Callable[[Delivery], Any], Any]] = [
    (JsonFormat().parse, OBJECTS),
    (cloudevents.parse, CLOUDEVENTS),
    (cloudevents.parse_record, CLOUDEVENTS),
    (partial(s3.parse, keys="auto"), RECORDS),
    (NotificationFormat().parse, st.one_of(RECORDS, OBJECTS)),
    (alertmanager.parse, ALERTS),
]
SENT = st.one_of(*(st.tuples(st.just(parse), st.one_of(bodies, bodies, ANYTHING)) for parse, bodies in FORMATS))
ALERT = {"triggers": {"a": {"alert": {"source": "push", "match": {"k": True}}}}}
RULES: list[dict[str, Any]] = [
    {"triggers": data(at_least={"bytes": "1000GB"}, rows="event.data.rows", distinct_by="event.data.key")},
    {"triggers": data(at_least={"events": 1000000})},
    {"triggers": data(at_least={"events": 1000}), "for_each": {"by": {"d": "event.data.k"}}},
    {"triggers": data(at_least={"events": 1000}, match={"event.attributes.kafka": "x*", "labels.k": True})},
    {"triggers": data(at_least={"events": 1000}, where="event.data.size > 3 && event.attributes.kafka.offset > 0")},
    {"triggers": {"m": {"metric": {"source": "push", "above": 1e300, "match": {"labels.k": 5}}}}},
    {"triggers": {"m": {"metric": {"source": "push", "above": 1e300, "value": "event.data.value"}}}},
    ALERT,
]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.houses.engine import DrivenEngine

    rules = [{"submit": {"workflow_template": "t"}, **rule, "name": f"r{n}"} for n, rule in enumerate(RULES)]
    folder: Path = tmp_path_factory.mktemp("crowd")
    bench = DrivenEngine(folder / "store.db", rules, START)
    yield bench
    bench.store.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=SENT,
    tracked=st.booleans(),
    in_kafka=st.booleans(),
)
def test_no_payload_raises_in_a_fold_or_in_a_replay(
    crowd: DrivenEngine, sent: tuple[Callable[[Delivery], Any], Any], tracked: bool, in_kafka: bool
) -> None:
    parse, body = sent
    record = PLACE if in_kafka else {}
    delivery = Delivery("push", orjson.dumps(body), START, "request:1", STRUCTURED, record=record, time=START)
    items = parse(delivery)
    batch = Batch("push", items, 0.0, tracked=tracked)
    outcomes = crowd.deliver_all([batch])[0]
    assert len(outcomes) == len(items)
    rules = frozenset(f"r{n}" for n in range(len(RULES)))
    again = Batch("push", items, 0.0, replay_scope=ReplayScope(rules, levels=True))
    assert len(crowd.deliver_all([again])[0]) == len(items)
    for table in ("events", "dead_letters"):
        crowd.query(f"SELECT * FROM {table} LIMIT 1")
