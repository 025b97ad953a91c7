"""The contract between the engine and every source: one suite that each source passes, with real files and sockets."""

from __future__ import annotations

import functools
import json
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import httpx
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette

from retrainer.config import models
from retrainer.event import Event, Poison
from retrainer.sources import registry
from retrainer.sources.base import Batch, Overloaded, Receipt
from retrainer.sources.webhook import Webhooks
from retrainer.util.clock import SystemClock
from retrainer.util.timefmt import rfc3339
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from retrainer.sources.http.hook import Served

NAME = "under-test"


@dataclass
class MemoryIntake:
    """Stores events when the test allows it, like the engine: each id once, and objects together with their events."""

    ids: list[str] = field(default_factory=list)
    events: list[Event | Poison] = field(default_factory=list)
    stored: dict[str, str] = field(default_factory=dict)
    waiting: list[tuple[Batch, Future[Receipt]]] = field(default_factory=list)
    offers: int = 0
    hold: bool = False
    refuse: bool = False
    fail: bool = False

    def offer(self, batch: Batch) -> Future[Receipt]:
        self.offers += 1
        if self.refuse:
            raise Overloaded(0.01)
        future: Future[Receipt] = Future()
        if self.fail:
            future.set_exception(OSError("disk full"))
        elif self.hold:
            self.waiting.append((batch, future))
        else:
            self._store(batch, future)
        return future

    def _store(self, batch: Batch, future: Future[Receipt]) -> None:
        outcomes = [self._take(item) for item in batch.items]
        for key, fingerprint in batch.objects.items():
            self.stored.pop(key, None)
            if fingerprint is not None:
                self.stored[key] = fingerprint
        future.set_result(Receipt(outcomes))

    def _take(self, item: Event | Poison) -> str:
        if item.id in self.ids:
            return "duplicate"
        self.ids.append(item.id)
        self.events.append(item)
        return "matched"

    def release(self) -> None:
        self.hold = False
        while self.waiting:
            self._store(*self.waiting.pop(0))

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        assert source == NAME
        return {k: self.stored[k] for k in sorted(self.stored) if k > after and k.startswith(prefix)}


class Sender(Protocol):
    """The external system that a source observes. Like a real sender, it repeats a fact until that is acknowledged."""

    def start(self) -> None: ...

    def stop_source(self) -> None:
        """Stop the source only."""

    def stop(self) -> None:
        """Stop everything. A second call has no effect."""

    def tell(self, names: list[str]) -> None:
        """Create facts with these names."""

    def tell_again(self, names: list[str]) -> None:
        """Deliver the facts again, as after a lost acknowledgement."""

    def acknowledged(self) -> set[str]:
        """Names of the facts that the source has acknowledged."""


class FolderSender:
    def __init__(self, intake: MemoryIntake, folder: Path) -> None:
        config = models.DirectorySource(type="directory", path="in", settle="0s", polling_interval="50ms")
        (folder / "in").mkdir()
        self._folder, self._intake = folder / "in", intake
        self._make = lambda: registry.build(NAME, config, intake, SystemClock(), folder)

    def start(self) -> None:
        self._source = self._make()
        self._source.start()

    def stop_source(self) -> None:
        self._source.stop()

    stop = stop_source

    def tell(self, names: list[str]) -> None:
        for name in names:  # atomic: a partly written file is never visible
            (self._folder / f".{name}").write_text(name)
            (self._folder / f".{name}").rename(self._folder / name)

    def tell_again(self, names: list[str]) -> None:
        self.stop()
        self._intake.stored.clear()  # as if the listing had never been stored
        self.start()

    def acknowledged(self) -> set[str]:
        return set(self._intake.stored)


class HttpSender:
    """One thread sends each fact until the answer is 202."""

    def __init__(self, intake: MemoryIntake, config: Served, name_in: Callable[[str], dict]) -> None:
        self._config, self._intake, self._message = config, intake, name_in
        self._webhooks = Webhooks({NAME: config}, intake, SystemClock(), lambda secret: "")
        self._taken: set[str] = set()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        app = Starlette(routes=[self._webhooks.route()])
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none", lifespan="off"))
        self._serving = threading.Thread(target=self._server.run)
        self._serving.start()
        until(lambda: self._server.started, "the server listens")
        self._url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}{self._config.path}"

    def stop_source(self) -> None:
        self._webhooks.stop()

    def stop(self) -> None:
        self.stop_source()
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._server.should_exit = True
        self._serving.join()

    def tell(self, names: list[str]) -> None:
        self._threads.append(threading.Thread(target=self._send, args=(names,)))
        self._threads[-1].start()

    tell_again = tell

    def _send(self, names: list[str]) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            for name in names:
                while client.post(self._url, **self._message(name)).status_code != 202:
                    if self._ended.wait(0.02):
                        return
                self._taken.add(name)

    def acknowledged(self) -> set[str]:
        return set(self._taken)


def json_message(name: str) -> dict:
    return {"json": {"name": name}, "headers": {"Idempotency-Key": name}}


def cloudevent_message(name: str) -> dict:
    event = {"specversion": "1.0", "id": name, "source": "/test", "type": "t", "data": {"name": name}}
    return {"content": json.dumps(event), "headers": {"content-type": "application/cloudevents+json"}}


def s3_message(name: str) -> dict:
    part = {"bucket": {"name": "b"}, "object": {"key": name, "size": 1, "sequencer": "0055"}}
    return {"json": {"Records": [{"eventName": "ObjectCreated:Put", "s3": part}]}}


def alert_message(name: str) -> dict:
    began = {"status": "firing", "labels": {"alertname": name}, "startsAt": rfc3339(time.time()), "fingerprint": name}
    return {"json": {"version": "4", "alerts": [began]}}


def alertmanager(intake: MemoryIntake) -> HttpSender:
    once = functools.cache(alert_message)  # a repeated alert keeps its start time
    return HttpSender(intake, models.AlertmanagerSource(type="alertmanager", path="/hooks/x"), once)


def webhook(intake: MemoryIntake, kind: str, message: Callable[[str], dict]) -> HttpSender:
    return HttpSender(intake, models.WebhookSource(type="webhook", path="/hooks/x", format=kind), message)


SENDERS = {
    "directory": FolderSender,
    "webhook-json": lambda intake, folder: webhook(intake, "json", json_message),
    "webhook-cloudevents": lambda intake, folder: webhook(intake, "cloudevents", cloudevent_message),
    "webhook-s3": lambda intake, folder: webhook(intake, "s3", s3_message),
    "alertmanager": lambda intake, folder: alertmanager(intake),
}


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture(params=SENDERS)
def sender(request: pytest.FixtureRequest, intake: MemoryIntake, tmp_path: Path) -> Iterator[Sender]:
    sender = SENDERS[request.param](intake, tmp_path)
    sender.start()
    yield sender
    intake.release()
    sender.stop()


FACTS = [f"fact-{n}" for n in range(20)]


def test_each_fact_is_one_event_with_an_id_of_its_own(sender: Sender, intake: MemoryIntake) -> None:
    sender.tell(FACTS)
    until(lambda: len(intake.events) == len(FACTS), "all facts are taken in")
    assert all(isinstance(event, Event) for event in intake.events)
    assert {event.source for event in intake.events} == {NAME}
    assert len({event.id for event in intake.events}) == len(FACTS)


def test_events_can_be_stored_as_they_are(sender: Sender, intake: MemoryIntake) -> None:
    before = time.time() - 60
    sender.tell(FACTS[:3])
    until(lambda: len(intake.events) == 3, "all three are taken in")
    for event in intake.events:
        assert isinstance(event, Event)
        assert orjson.loads(orjson.dumps([event.data, event.attributes])) == [event.data, event.attributes]
        assert event.id
        assert event.type
        assert before < event.time < time.time() + 60


def test_nothing_is_acknowledged_before_it_is_stored(sender: Sender, intake: MemoryIntake) -> None:
    intake.hold = True
    sender.tell(FACTS[:1])
    until(lambda: intake.waiting, "a batch is offered")
    assert not sender.acknowledged()
    intake.release()
    until(lambda: sender.acknowledged() == set(FACTS[:1]), "the first is acknowledged")
    assert len(intake.events) == 1


def test_a_second_delivery_is_known_by_its_id(sender: Sender, intake: MemoryIntake) -> None:
    sender.tell(FACTS)
    until(lambda: sender.acknowledged() == set(FACTS), "all are acknowledged")
    offers = intake.offers
    sender.tell_again(FACTS)
    until(
        lambda: intake.offers > offers and sender.acknowledged() == set(FACTS),
        "all are offered again",
    )
    sender.tell(["one more"])
    until(lambda: "one more" in sender.acknowledged(), "one more is acknowledged")
    assert len(intake.events) == len(FACTS) + 1


def test_a_full_queue_only_delays(sender: Sender, intake: MemoryIntake) -> None:
    intake.refuse = True
    sender.tell(FACTS)
    until(lambda: intake.offers >= 3, "it is offered again")
    assert not sender.acknowledged()
    intake.refuse = False
    until(lambda: sender.acknowledged() == set(FACTS), "all are acknowledged")
    assert len(intake.events) == len(FACTS)


def test_what_could_not_be_stored_comes_again(sender: Sender, intake: MemoryIntake) -> None:
    intake.fail = True
    sender.tell(FACTS)
    until(lambda: intake.offers >= 3, "it is offered again")
    assert not sender.acknowledged()
    intake.fail = False
    until(lambda: sender.acknowledged() == set(FACTS), "all are acknowledged")
    assert len(intake.events) == len(FACTS)


def test_ids_are_remembered_long_enough_to_tell_a_second_delivery(sender: Sender, intake: MemoryIntake) -> None:
    intake.hold = True
    sender.tell(FACTS[:1])
    until(lambda: intake.waiting, "a batch is offered")
    assert intake.waiting[0][0].identity_window >= 3600


def test_once_stopped_nothing_more_is_taken_in(sender: Sender, intake: MemoryIntake) -> None:
    sender.tell(FACTS[:1])
    until(sender.acknowledged, "it is acknowledged")
    sender.stop_source()
    offers = intake.offers
    sender.tell(["too late"])
    sender.stop()
    assert intake.offers == offers
    assert sender.acknowledged() == set(FACTS[:1])
