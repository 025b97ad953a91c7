"""The contract suite of tests/contract for sources, on notifications in a real queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config import models
from retrainer.sources import registry
from retrainer.util.clock import SystemClock
from tests.contract import test_sources as suite
from tests.integration.s3.test_sqs import via

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.s3.cloud import Cloud

globals().update({name: test for name, test in vars(suite).items() if name.startswith("test_")})


class QueueSender:
    """Sends one message for each fact. A message that is no longer in the queue was acknowledged."""

    def __init__(self, cloud: Cloud, intake: suite.MemoryIntake) -> None:
        self._cloud, self._queue, self._intake = cloud, cloud.queue(), intake
        settings = {"type": "s3", "via": via(cloud, self._queue, visibility_timeout="2s")}
        self._config = models.S3Source.model_validate(settings)
        self._told: set[str] = set()
        self._taken: set[str] = set()

    def start(self) -> None:
        self._source: Any = registry.build(suite.NAME, self._config, self._intake, SystemClock(), Path())
        self._source.start()

    def stop_source(self) -> None:
        self._source.stop()

    stop = stop_source

    def tell(self, names: list[str]) -> None:
        self._told |= set(names)
        self._cloud.send(self._queue, *(json.dumps(suite.s3_message(name)["json"]) for name in names))

    tell_again = tell

    def acknowledged(self) -> set[str]:
        if not self._cloud.left(self._queue):
            self._taken = set(self._told)
        return self._taken


@pytest.fixture
def intake() -> suite.MemoryIntake:
    return suite.MemoryIntake()


@pytest.fixture
def sender(cloud: Cloud, intake: suite.MemoryIntake) -> Iterator[QueueSender]:
    sender = QueueSender(cloud, intake)
    sender.start()
    yield sender
    intake.release()
    sender.stop()
