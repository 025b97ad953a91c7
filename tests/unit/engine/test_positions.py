"""Stored positions: only the last claimant of a partition may advance it, from its current value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.event import Event
from retrainer.sources.base import Batch, Claimed, OffsetRange, PositionLost
from tests.houses.engine import Crash, reset_part
from tests.unit.engine.kit import START, Make, data, observed, start, state, windows

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

PART = "orders/0"


def records(begin: int, end: int, part: str = PART) -> list[Event]:
    topic, _, partition = part.partition("/")
    places = [{"topic": topic, "partition": int(partition), "offset": n, "key": None} for n in range(begin, end)]
    return [Event("push", f"{part}/{p['offset']}", "record", START, {}, record=p) for p in places]


def batch(epoch: int, begin: int, end: int, part: str = PART) -> Batch:
    return Batch("push", records(begin, end, part), 0.0, offsets=OffsetRange(part, epoch, begin, end))


def position(bench: DrivenEngine, part: str = PART) -> int:
    return bench.engine.parts("push")[part]


def counted(bench: DrivenEngine) -> list[str]:
    return [row[0] for row in bench.query("SELECT id FROM events ORDER BY seq")]


@pytest.fixture
def bench(make: Make) -> Any:
    return make({"triggers": data(at_least={"events": 1000})})


CLAIMS: list[Any] = [
    pytest.param([("t1", 7)], [Claimed(7, 1, "t1")], id="a new part begins where its reader says"),
    pytest.param([("t1", None)], [Claimed(None, 0, "t1")], id="a new part nobody says the beginning of is not made"),
    pytest.param(
        [("t1", 7), ("t1", 99)], [Claimed(7, 1, "t1"), Claimed(7, 2, "t1")], id="a known part goes on where it was"
    ),
    pytest.param(
        [("t1", 7), ("t2", 0), ("t1", 0)],
        [Claimed(7, 1, "t1"), Claimed(7, 1, "t1"), Claimed(7, 2, "t1")],
        id="another topic_id claims nothing",
    ),
]


@pytest.mark.parametrize(("claims", "expected"), CLAIMS)
def test_claims(bench: DrivenEngine, claims: list[tuple[str, int | None]], expected: list[Claimed]) -> None:
    emitted = []
    for topic_id, begin in claims:
        emitted.append(bench.engine.claim("push", PART, topic_id, begin))
        bench.restart()
    assert emitted == expected


LOSERS: list[Any] = [
    pytest.param(lambda first, _: batch(first, 10, 12), id="somebody else has claimed the part"),
    pytest.param(lambda _, second: batch(second, 8, 12), id="the store is further"),
    pytest.param(lambda _, second: batch(second, 12, 14), id="the store is not so far"),
    pytest.param(lambda _, second: batch(second, 10, 12, "orders/9"), id="nobody knows the part"),
    pytest.param(lambda _, second: batch(second + 1, 10, 12), id="an epoch from nowhere"),
]


@pytest.mark.parametrize("loser", LOSERS)
def test_a_loser_loses_its_batch_as_a_whole_and_nobody_elses(bench: DrivenEngine, loser: Any) -> None:
    first = bench.engine.claim("push", PART, "t", 0).epoch
    bench.deliver_all([batch(first, 0, 10)])
    second = bench.engine.claim("push", PART, "t").epoch
    other = bench.engine.claim("push", "orders/1", "t", 0).epoch
    offers = [loser(first, second), batch(second, 10, 13), batch(other, 0, 2, "orders/1")]
    lost, won, beside = bench.offer_all(offers)
    assert isinstance(lost.exception(), PositionLost)
    assert (list(won.result().outcomes), list(beside.result().outcomes)) == (["matched"] * 3, ["matched"] * 2)
    assert position(bench) == 13
    assert counted(bench) == [*(f"orders/0/{n}" for n in range(13)), "orders/1/0", "orders/1/1"]
    assert state(bench).window.events == 15


def test_two_owners_read_the_same_records_and_each_counts_once(bench: DrivenEngine) -> None:
    """The paused reader continues as before. All of its batches are rejected."""
    old = bench.engine.claim("push", PART, "t", 0)
    bench.deliver_all([batch(old.epoch, 0, 3)])
    new = bench.engine.claim("push", PART, "t")
    assert new.next == 3
    for begin in range(3, 9, 2):
        late, fresh = bench.offer_all([batch(old.epoch, begin, begin + 2), batch(new.epoch, begin, begin + 2)])
        assert isinstance(late.exception(), PositionLost)
        assert len(fresh.result().outcomes) == 2
    assert counted(bench) == [f"orders/0/{n}" for n in range(9)]


@pytest.mark.parametrize(
    ("crash", "stored"), [pytest.param("before", 0, id="before"), pytest.param("after", 4, id="after the commit")]
)
def test_a_crash_leaves_the_position_where_the_records_are(bench: DrivenEngine, crash: str, stored: int) -> None:
    epoch = bench.engine.claim("push", PART, "t", 0).epoch
    bench.crash_at = crash
    with pytest.raises(Crash):
        bench.deliver_all([batch(epoch, 0, 4)])
    bench.restart()
    again = bench.engine.claim("push", PART, "t")
    assert (again.next, len(counted(bench))) == (stored, stored)
    bench.deliver_all([batch(again.epoch, stored, 6)])
    assert counted(bench) == [f"orders/0/{n}" for n in range(6)]


def test_gaps_in_the_offsets_are_no_gaps_in_the_positions(bench: DrivenEngine) -> None:
    """Compacted topics and aborted transactions leave out offsets. The offset range says how far was read."""
    epoch = bench.engine.claim("push", PART, "t", 0).epoch
    holey = Batch("push", [records(3, 4)[0], records(7, 8)[0]], 0.0, offsets=OffsetRange(PART, epoch, 0, 20))
    empty = Batch("push", [], 0.0, offsets=OffsetRange(PART, epoch, 20, 25))
    bench.deliver_all([holey, empty])
    assert (position(bench), len(counted(bench))) == (25, 2)
    assert state(bench).window.parts == {PART: (3, 7)}


def test_a_reset_takes_the_part_from_whoever_holds_it(bench: DrivenEngine) -> None:
    holder = bench.engine.claim("push", PART, "t1", 0)
    bench.deliver_all([batch(holder.epoch, 0, 3)])
    reset_part(bench.engine, "push", PART, "t2", 100)
    (late,) = bench.offer_all([batch(holder.epoch, 3, 5)])
    assert isinstance(late.exception(), PositionLost)
    assert bench.engine.claim("push", PART, "t1").epoch == holder.epoch + 1  # the reader of the old topic gets nothing
    fresh = bench.engine.claim("push", PART, "t2")
    assert fresh == Claimed(100, holder.epoch + 2, "t2")
    bench.deliver_all([batch(fresh.epoch, 100, 102)])
    assert (position(bench), len(counted(bench))) == (102, 5)


def test_a_part_that_is_not_known_cannot_be_reset(bench: DrivenEngine) -> None:
    with pytest.raises(LookupError, match="source push has no partition orders/7"):
        reset_part(bench.engine, "push", "orders/7", "t", 0)


def test_ranges_of_offsets_stay_right_over_batches_that_come_back(make: Make) -> None:
    bench = make({"triggers": data(at_least={"events": 4})})
    epochs = {part: bench.engine.claim("push", part, "t", 0).epoch for part in ("orders/0", "orders/1")}
    bench.deliver_all([batch(epochs["orders/0"], 0, 2), batch(epochs["orders/1"], 0, 2, "orders/1")])
    (run,) = start(bench)
    bench.deliver_all([batch(epochs["orders/1"], 2, 5, "orders/1")])
    bench.restart()
    bench.gateway.observed([observed(run, "Failed")])
    assert [w["parts"] for w in windows(bench)] == [
        {"orders/0": [0, 1], "orders/1": [0, 1]},
        {"orders/0": [0, 1], "orders/1": [0, 4]},
    ]
