"""A reader learns of all topics of its source, whichever partitions it has."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaConsumer, TopicPartition
from sources_kit import ScriptedIntake

from retrainer.config.models import Topics
from retrainer.sources.kafka.partition_share import Share
from retrainer.util.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def consumer() -> Iterator[KafkaConsumer]:
    """A consumer whose broker accepts the connection and answers nothing. It is never polled."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = KafkaConsumer(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}", api_version=(2, 6))
        yield made
        made.close(timeout_ms=0)


@pytest.mark.parametrize("replaces", [False, True], ids=["as kafka-python 3.0 has it", "if `assign` narrowed them"])
@pytest.mark.parametrize("mine", [{TopicPartition("a", 0)}, set()], ids=["a share of one topic", "no share"])
def test_all_topics_are_followed(
    monkeypatch: pytest.MonkeyPatch, consumer: KafkaConsumer, mine: set[TopicPartition], replaces: bool
) -> None:
    cluster = consumer._client.cluster
    if replaces:
        monkeypatch.setattr(cluster, "set_topics", lambda topics: setattr(cluster, "_topics", set(topics)))
    topics = Topics.model_validate({"bootstrap_servers": ["unused:9092"], "group_id": "g", "topics": ["a", "b"]})
    share = Share("s", consumer, topics, ScriptedIntake(), SystemClock())
    share._assign(frozenset({TopicPartition("b", 0)}))
    share._assign(frozenset(mine))
    assert cluster._topics == {"a", "b"}
    assert consumer.assignment() == mine
