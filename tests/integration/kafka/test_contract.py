"""The contract suite of tests/contract for sources, on topics of a real broker."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config import models
from retrainer.sources import registry
from retrainer.sources.base import Claimed, PositionLost
from retrainer.util.clock import SystemClock
from tests.contract import test_sources as suite
from tests.integration.kafka.kit import kafka

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from retrainer.sources.base import Batch, Receipt
    from tests.integration.broker import Broker

globals().update({name: test for name, test in vars(suite).items() if name.startswith("test_")})


@dataclass
class PositionIntake(suite.MemoryIntake):
    """Keeps positions as the engine does: by compare-and-set, with the topic id."""

    positions: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        assert source == suite.NAME
        if part not in self.positions:
            if start is None:
                return Claimed(None, 0, topic_id)
            self.positions[part] = start
        self.epochs[part] = self.epochs.get(part, 0) + 1
        return Claimed(self.positions[part], self.epochs[part], topic_id)

    def readers(self, _source: str, reader: str) -> list[str]:
        return [reader]

    def leave(self, source: str, reader: str) -> None:
        pass

    def parts(self, source: str) -> dict[str, int]:
        assert source == suite.NAME
        return dict(self.positions)

    def _store(self, batch: Batch, future: Future[Receipt]) -> None:
        offsets = batch.offsets
        assert offsets is not None
        if (self.epochs[offsets.part], self.positions[offsets.part]) != (offsets.epoch, offsets.begin):
            future.set_exception(PositionLost(offsets.part))
            return
        self.positions[offsets.part] = offsets.next
        super()._store(batch, future)


class TopicSender:
    """Produces one record for each fact, in the format `form`."""

    def __init__(self, broker: Broker, intake: PositionIntake, form: str) -> None:
        self._broker, self._intake, self._form = broker, intake, form
        self._topic = broker.create_topic()
        settings = kafka(broker, self._topic, format=form, **({"id": "data.name"} if form == "json" else {}))
        self._config = models.KafkaSource.model_validate(settings)
        self._placed: dict[str, tuple[str, int]] = {}

    def start(self) -> None:
        self._source: Any = registry.build(suite.NAME, self._config, self._intake, SystemClock(), Path())
        self._source.start()

    def stop_source(self) -> None:
        self._source.stop()

    stop = stop_source

    def tell(self, names: list[str]) -> None:
        for name in names:
            event = {"specversion": "1.0", "id": name, "source": "/test", "type": "t", "data": {"name": name}}
            body = {"name": name} if self._form == "json" else event
            kind = [("content-type", b"application/json" if self._form == "json" else b"application/cloudevents+json")]
            ((partition, offset),) = self._broker.produce(self._topic, [json.dumps(body).encode()], headers=kind)
            self._placed[name] = (f"{self._topic}/{partition}", offset)

    def tell_again(self, names: list[str]) -> None:
        self.stop()
        self._intake.positions = dict.fromkeys(self._intake.positions, 0)  # as if they had never been stored
        self.start()

    def acknowledged(self) -> set[str]:
        stored = self._intake.positions
        return {name for name, (part, offset) in self._placed.items() if offset < stored.get(part, 0)}


@pytest.fixture
def intake() -> PositionIntake:
    return PositionIntake()


@pytest.fixture(params=["json", "cloudevents"])
def sender(request: pytest.FixtureRequest, broker: Broker, intake: PositionIntake) -> Iterator[TopicSender]:
    sender = TopicSender(broker, intake, request.param)
    sender.start()
    yield sender
    intake.release()
    sender.stop()
