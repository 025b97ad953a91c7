"""A partition halts where continuing would skip records or mix topics, reports it, and waits for a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.houses.engine import reset_part
from tests.integration.kafka.kit import NAME, await_numbers, counted, kafka, numbered, parts, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def reset(house: RunningEngine, source: Any, part: str, to: str | int) -> None:
    reset_part(house.engine, NAME, part, *source.resolve(part, to))


def halts(logged: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["partition"] for line in logged if line["event"] == "source.halted"]


def way_out(part: str) -> str:
    return f"decide with `retrainer sources reset {NAME} --partition {part} --to earliest|latest|OFFSET`"


def test_records_that_expired_unread_halt_their_partition_alone(
    broker: Broker, house: RunningEngine, logged: list[MutableMapping[str, Any]]
) -> None:
    topic = broker.create_topic()
    settings = kafka(broker, topic)
    source = house.source(NAME, settings, [rule()])
    until(lambda: len(parts(house)) == 3, "all partitions are known")
    house.stop_sources()
    broker.produce(topic, numbered(range(10)), partition=1)
    broker.delete_records(topic, 1, before=6)
    source = house.source(NAME, settings, [rule()])
    part = f"{topic}/1"
    until(lambda: source.halted, "it halted")
    said = "records 0 to 5 are gone (expired or deleted) and were never read"
    assert source.halted == {part: f"{said}; {way_out(part)}"}
    assert source.last_error == f"1 partition halted; {part}: {source.halted[part]}"
    broker.produce(topic, numbered([10]), partition=0)
    await_numbers(house, [10])
    assert halts(logged) == [part]
    reset(house, source, part, "earliest")
    await_numbers(house, [10, *range(6, 10)])
    until(lambda: not source.halted and source.last_error is None and source.lag == 0, "nothing is wrong any more")


def test_a_log_that_was_cut_off_is_not_read_on_when_it_has_grown_again(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic(partitions=1)
    source: Any = house.source(NAME, kafka(broker, topic), [rule()])
    part = f"{topic}/0"
    until(lambda: parts(house) == {part: 0}, "it reads")
    topic_id, _ = source.resolve(part, "earliest")
    reset_part(house.engine, NAME, part, topic_id, 3)  # as if records 0 to 2 had been read, and the log had lost them
    until(lambda: source.halted, "it halted")
    said = "the log ends at 0, before 3, the next offset to read: it was truncated"
    assert source.halted == {part: f"{said}; {way_out(part)}"}
    broker.produce(topic, numbered(range(5)))
    epoch = claims_of(house, part)
    until(lambda: claims_of(house, part) >= epoch + 2, "the log was looked at again")
    assert source.halted
    assert not counted(house)
    reset(house, source, part, "earliest")
    await_numbers(house, range(5))
    until(lambda: not source.halted, "nothing is halted any more")


def claims_of(house: RunningEngine, part: str) -> int:
    """How often a partition was claimed."""
    ((claims,),) = house.query(f"SELECT owner_epoch FROM positions WHERE partition = '{part}'")
    return int(claims)


def test_a_topic_that_is_made_anew_is_not_taken_for_the_old_one(
    broker: Broker, house: RunningEngine, logged: list[MutableMapping[str, Any]]
) -> None:
    topic = broker.create_topic()
    broker.produce(topic, numbered(range(30)))
    source = house.source(NAME, kafka(broker, topic), [rule()])
    await_numbers(house, range(30))
    broker.delete_topic(topic)
    until(lambda: source.last_error and "does not exist" in source.last_error, "it is missed")
    broker.create_topic(topic)
    broker.produce(topic, numbered(range(100, 160)))
    until(lambda: len(source.halted) == 3, "all of it is halted")
    assert all("the topic was recreated: its id was" in said for said in source.halted.values())
    assert sorted(counted(house)) == list(range(30))
    assert sorted(halts(logged)) == [f"{topic}/{p}" for p in range(3)]
    for partition in range(3):
        reset(house, source, f"{topic}/{partition}", "earliest")
    await_numbers(house, [*range(30), *range(100, 160)])
    until(lambda: not source.halted, "nothing is halted any more")


def test_a_halted_partition_stays_halted_over_a_restart(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic(partitions=1)
    settings = kafka(broker, topic)
    house.source(NAME, settings, [rule()])
    until(lambda: len(parts(house)) == 1, "the partition is known")
    house.restart()
    broker.produce(topic, numbered(range(10)))
    broker.delete_records(topic, 0, before=4)
    for _ in range(2):
        source = house.source(NAME, settings, [rule()])
        until(lambda source=source: source.halted, "it halted")
        house.restart()
    source = house.source(NAME, settings, [rule()])
    until(lambda: source.halted, "it halted")
    assert not counted(house)
    reset(house, source, f"{topic}/0", 7)
    await_numbers(house, [7, 8, 9])


@pytest.mark.parametrize(
    ("part", "to", "error", "said"),
    [
        pytest.param("{}/0", 11, ValueError, "offset 11 is not in the log, which has 2 to 10", id="beyond the end"),
        pytest.param("{}/0", 1, ValueError, "offset 1 is not in the log, which has 2 to 10", id="expired"),
        pytest.param("{}/7", "latest", LookupError, "there is no partition 7", id="no such partition"),
        pytest.param("other/0", "latest", LookupError, "among this source's topics", id="another topic"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(
    broker: Broker, house: RunningEngine, part: str, to: str | int, error: type[Exception], said: str
) -> None:
    topic = broker.create_topic(partitions=1)
    broker.produce(topic, numbered(range(10)))
    broker.delete_records(topic, 0, before=2)
    source: Any = house.source(NAME, kafka(broker, topic), [rule()])
    with pytest.raises(error, match=said):
        source.resolve(part.format(topic), to)
