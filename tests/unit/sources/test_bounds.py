"""Limits of one request, and of all requests together."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
from sources_kit import FixedClock, ScriptedIntake, served

from retrainer.config.models import AlertmanagerSource, FromEnv, WebhookSource
from retrainer.event import Event, Poison
from retrainer.sources.formats import alertmanager, cloudevents, s3
from retrainer.sources.formats.payload import MAX_ITEMS, Delivery, TooMany
from retrainer.sources.http import parse_memory, unreadable_bodies
from retrainer.sources.http.parse_memory import ParseMemory, estimate
from retrainer.sources.http.refusal import Refusal
from retrainer.sources.http.unreadable_bodies import Letterbox
from retrainer.sources.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = 1_780_000_000.0
MAPS = b'{"a":[' + b",".join([b'{"":{}}'] * 20_000) + b"]}"
JSON = {"Content-Type": "application/json"}
BATCH = {"Content-Type": cloudevents.BATCH}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(MAPS, id="maps"),
        pytest.param(b"[" + b",".join([b"[[]]"] * 40_000) + b"]", id="lists"),
        pytest.param(b"[" + b",".join([b'{"a":1,"b":2.5,"c":"x"}'] * 10_000) + b"]", id="small maps"),
        pytest.param(b"[" + b",".join([b"0.12345"] * 40_000) + b"]", id="numbers"),
        pytest.param(b"[" + b",".join([b'"abc"'] * 40_000) + b"]", id="short texts"),
        pytest.param(b'{"a":"' + b"x" * 200_000 + b'"}', id="one long text"),
        pytest.param(b"{" + b",".join(b'"%d":%d' % (i, i) for i in range(20_000)) + b"}", id="one wide map"),
    ],
)
def test_the_estimate_is_not_below_what_it_takes_nor_far_above(body: bytes) -> None:
    tracemalloc.start()
    try:
        value = orjson.loads(body)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert value is not None
    assert 0.7 * taken <= estimate(body) <= 4 * taken + 3 * len(body)


def test_what_is_read_at_once_is_bounded() -> None:
    budget = ParseMemory(at_once=3 * estimate(MAPS) // 2)
    with budget.hold(MAPS, 1 << 20):
        with pytest.raises(Refusal) as refused, budget.hold(MAPS, 1 << 20):
            pass
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")
        with budget.hold(b"{}", 1 << 20):
            pass
    with budget.hold(MAPS, 1 << 20):
        pass


def test_one_request_is_bounded_too_and_more_if_it_may_be_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_memory, "OF_ONE", 1 << 20)
    with pytest.raises(Refusal, match="send less at once") as refused, ParseMemory(1).hold(MAPS, 1000):
        pass
    assert refused.value.status == 413
    with ParseMemory(1).hold(MAPS, 16 << 20):  # admitted while it is the only request, whatever the total limit
        pass


def poison(identity: str = "a", size: int = 10) -> Poison:
    return Poison("push", identity, b"x" * size, "not JSON")


class Told:
    def __init__(self) -> None:
        self.counts: list[tuple[str, int]] = []
        self.box = Letterbox(lambda source, count: self.counts.append((source, count)))

    def send(self, item: Poison, now: float, *, stored: bool = True) -> Poison:
        (fitted,) = self.box.fit("push", (item,), now)
        if stored:
            self.box.stored("push", (fitted,), now)
        assert isinstance(fitted, Poison)
        return fitted


def test_one_and_the_same_body_is_kept_once_a_minute() -> None:
    told = Told()
    kept = [told.send(poison(), now).kept for now in (0, 1, 59, 60, 61)]
    assert kept == [True, False, False, True, False]
    assert told.send(poison("b"), 2).kept
    assert told.counts == [("push", 1)] * 3


def test_what_was_not_stored_is_kept_when_it_comes_again() -> None:
    told = Told()
    assert told.send(poison(), 0, stored=False).kept
    assert told.send(poison(), 1).kept


def test_beyond_its_bytes_a_source_has_the_beginnings_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable_bodies, "MOST_BYTES", 10_000)
    told = Told()
    sizes = [len(told.send(poison(str(i), 4000), 1).payload) for i in range(4)]
    assert sizes == [4000, 4000, 1024, 1024]
    assert "the first 1024 of 4000 bytes" in told.send(poison("z", 4000), 2).error
    assert len(told.send(poison("y", 4000), 61).payload) == 4000


def test_what_was_not_stored_uses_up_no_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable_bodies, "MOST_BYTES", 10_000)
    told = Told()
    tries = [len(told.send(poison(size=4000), now, stored=False).payload) for now in range(16)]
    assert tries == [4000] * 16
    assert len(told.send(poison(size=4000), 17).payload) == 4000


ALERT = {"status": "firing", "fingerprint": "f", "startsAt": "2026-05-28T20:00:00Z", "labels": {"alertname": "x"}}
EVENT = {"specversion": "1.0", "source": "/a", "type": "t"}
GROUP_KEY = "x" * 100_000


def delivery(body: Any, *, refusing: bool = False) -> Delivery:
    return Delivery("s", orjson.dumps(body), NOW, "request:1", refusing=refusing)


def batch(items: list[Any]) -> Delivery:
    return Delivery("s", orjson.dumps(items), NOW, "request:1", headers={"content-type": cloudevents.BATCH})


@pytest.mark.parametrize(
    ("parse", "sent", "kept"),
    [
        pytest.param(
            alertmanager.parse,
            delivery({"version": "4", "groupKey": GROUP_KEY, "alerts": [0, ALERT, 0, {"status": "x"}]}),
            {"version": "4", "groupKey": GROUP_KEY, "alerts": [0, 0, {"status": "x"}]},
            id="alerts, and the group once",
        ),
        pytest.param(
            cloudevents.parse, batch([0, {**EVENT, "id": "1"}, 0, {"id": "2"}]), [0, 0, {"id": "2"}], id="CloudEvents"
        ),
    ],
)
def test_what_cannot_be_read_of_a_payload_is_one_dead_letter(
    parse: Callable[[Delivery], tuple[Event | Poison, ...]], sent: Delivery, kept: Any
) -> None:
    first, good, second, third = parse(sent)
    assert isinstance(first, Poison)
    assert isinstance(good, Event)
    assert isinstance(second, Poison)
    assert isinstance(third, Poison)
    assert json.loads(first.payload) == kept
    assert first.error.startswith("3 items: ")
    assert "(2)" in first.error
    assert [(one.kept, one.payload, one.id == first.id) for one in (second, third)] == [(False, b"", True)] * 2


def test_an_alert_does_not_bring_its_whole_group() -> None:
    sent = delivery({"version": "4", "groupKey": GROUP_KEY, "externalURL": GROUP_KEY, "alerts": [ALERT] * 100})
    size = sum(len(orjson.dumps(item.data)) for item in alertmanager.parse(sent) if isinstance(item, Event))
    assert 100 * 2 * 1024 < size < 4 * len(sent.body)


MANY = [0] * (MAX_ITEMS + 1)


def test_too_many_items_are_one_dead_letter_where_nobody_can_be_told() -> None:
    (only,) = s3.parse(delivery({"Records": MANY}))
    assert isinstance(only, Poison)
    assert "at most 10000" in only.error
    with pytest.raises(TooMany):
        s3.parse(delivery({"Records": MANY}, refusing=True))


@pytest.fixture
def intake() -> ScriptedIntake:
    return ScriptedIntake()


@pytest.fixture
def webhooks(intake: ScriptedIntake) -> Webhooks:
    sources = {
        "push": WebhookSource(type="webhook", path="/hooks/push"),
        "events": WebhookSource(type="webhook", path="/hooks/events", format="cloudevents"),
        "bucket": WebhookSource(type="webhook", path="/hooks/bucket", format="s3"),
        "alerts": AlertmanagerSource(type="alertmanager", path="/hooks/alerts"),
    }
    return Webhooks(sources, intake, FixedClock(NOW), lambda _: FromEnv(from_env="none").from_env)


@pytest.fixture
def client(webhooks: Webhooks) -> Iterator[httpx.Client]:
    with served(webhooks) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}/hooks", trust_env=False) as client:
        yield client


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        pytest.param("/events", MANY, BATCH, id="CloudEvents"),
        pytest.param("/bucket", {"Records": MANY}, JSON, id="bucket notifications"),
        pytest.param("/alerts", {"version": "4", "alerts": MANY}, JSON, id="alerts"),
    ],
)
def test_who_sends_too_many_items_is_told_to_send_less(
    client: httpx.Client, intake: ScriptedIntake, path: str, body: Any, headers: dict[str, str], compressed: bool
) -> None:
    sent = orjson.dumps(body)
    if compressed:
        sent, headers = gzip.compress(sent), {**headers, "Content-Encoding": "gzip"}
    answer = client.post(path, content=sent, headers=headers)
    assert (answer.status_code, "at most 10000" in answer.json()["detail"]) == (413, True)
    assert not intake.batches


def test_a_request_that_finds_no_room_is_asked_to_come_again(client: httpx.Client, webhooks: Webhooks) -> None:
    webhooks._memory._held = parse_memory.AT_ONCE
    answer = client.post("/push", content=b"{}", headers=JSON)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    webhooks._memory._held = 0
    assert client.post("/push", content=b"{}", headers=JSON).status_code == 202
    assert webhooks._memory._held == 0


def test_what_stands_in_an_event_as_base64_is_estimated_too(
    client: httpx.Client, webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_memory, "OF_ONE", 1 << 20)
    lists = b"[" + b",".join([b"[]"] * 200_000) + b"]"
    told = {"specversion": "1.0", "type": "t", "source": "/s", "datacontenttype": "application/json"}
    event = {**told, "id": "1", "data_base64": base64.b64encode(lists).decode()}
    for content, kind in ((event, cloudevents.STRUCTURED), ([event], cloudevents.BATCH)):
        answer = client.post("/events", content=orjson.dumps(content), headers={"Content-Type": kind})
        assert answer.status_code == 413, answer.text
    small = {**event, "data_base64": base64.b64encode(lists[:3000].rstrip(b",[]") + b"[]]").decode()}
    answer = client.post("/events", content=orjson.dumps(small), headers={"Content-Type": cloudevents.STRUCTURED})
    assert answer.status_code == 202
    assert webhooks._memory._held == 0


def test_an_answer_tells_the_first_errors_only(client: httpx.Client, intake: ScriptedIntake) -> None:
    answer = client.post("/events", content=orjson.dumps([0] * 250), headers=BATCH).json()
    assert answer["outcomes"] == ["dead_lettered"] * 250
    assert (len(answer["errors"]), answer["errors_left_out"]) == (100, 150)
    assert [item.kept for item in intake.items].count(True) == 1
