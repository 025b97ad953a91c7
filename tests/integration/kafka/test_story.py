"""A source as its operator sees it: commands and metrics of a running daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.kafka.daemon import Daemon
from tests.integration.kafka.kit import NAME, kafka, numbered, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.broker import Broker


@pytest.fixture
def topic(broker: Broker) -> str:
    return broker.create_topic(partitions=1)


@pytest.fixture
def sources(broker: Broker, topic: str) -> dict[str, Any]:
    return {NAME: kafka(broker, topic)}


@pytest.fixture
def daemon(sources: dict[str, Any], tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, sources, [rule(10)])
    daemon.launch()
    daemon.ready()
    yield daemon
    daemon.close()


def told(daemon: Daemon, *arguments: str) -> Any:
    return json.loads(daemon.cli("-o", "json", *arguments))


def listed(daemon: Daemon, *arguments: str) -> list[Any]:
    answer = told(daemon, *arguments)
    return answer["items"] if isinstance(answer, dict) else answer


def test_an_operator_sees_what_fed_a_run_and_ends_a_halt(broker: Broker, topic: str, daemon: Daemon) -> None:
    broker.produce(topic, numbered(range(10)))
    until(lambda: daemon.of_source("retrainer_events_matched_total", NAME) == 10, "all are counted")
    (run,) = listed(daemon, "runs", "list")
    fed = told(daemon, "runs", "show", run["id"], "--inputs")
    assert sorted(event["data"]["n"] for event in fed["inputs"]) == list(range(10))
    assert f"{topic}/0" in daemon.cli("sources", "show", NAME)

    assert daemon.stop() == 0
    broker.produce(topic, numbered(range(10, 20)))
    broker.delete_records(topic, 0, before=15)
    daemon.launch()
    daemon.ready()
    until(lambda: daemon.of_source("retrainer_source_halted_partitions", NAME) == 1, "the metric has it")
    assert daemon.of_source("retrainer_source_up", NAME) == 0
    assert "records 10 to 14 are gone" in daemon.cli("sources", "list")
    assert "source.halted" in (daemon.folder / "log").read_text()
    daemon.cli("sources", "reset", NAME, "--partition", f"{topic}/0", "--to", "earliest", "--yes")
    until(lambda: daemon.of_source("retrainer_events_matched_total", NAME) == 5, "the others are counted")
    until(lambda: daemon.of_source("retrainer_source_halted_partitions", NAME) == 0, "the halt has ended")
    assert daemon.of_source("retrainer_source_up", NAME) == 1


def test_a_replay_counts_for_a_new_rule_what_the_old_one_has_counted(
    broker: Broker, topic: str, daemon: Daemon, sources: dict[str, Any]
) -> None:
    broker.produce(topic, numbered(range(25)))
    until(lambda: daemon.of_source("retrainer_events_matched_total", NAME) == 25, "all are counted")
    daemon.write(sources, [rule(10), rule(25, name="late")])
    daemon.http.post("/-/reload").raise_for_status()
    assert replayed(daemon, "--dry-run") == {"matched": 25}
    assert replayed(daemon) == {"matched": 25}
    assert replayed(daemon) == {"duplicate": 25}
    until(lambda: [run["rule"] for run in listed(daemon, "runs", "list")].count("late") == 1, "one run of it")
    of_old = [run for run in listed(daemon, "runs", "list") if run["rule"] == "train"]
    assert len(of_old) <= 2


def replayed(daemon: Daemon, *more: str) -> dict[str, int]:
    """Replay the last hour; return the number of records by outcome."""
    answer = told(daemon, "replay", NAME, "--from", "1h", *more)
    return {word: n for word, n in answer["outcomes"].items() if n}
