"""A batch that takes longer than one transaction may last is committed in parts. Other sources do not wait for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.core.containment import Care
from retrainer.engine.intake import events
from retrainer.engine.replication import inbox
from retrainer.event import Event, Poison
from retrainer.simulate.world import ManualClock
from retrainer.sources.base import Batch, OffsetRange, PositionLost
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import START, SUBMIT, event

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

PART = "orders/0"
RULE = {
    "name": "r",
    "triggers": {"d": {"data": {"source": "push", "batch": {"at_least": {"events": 5}}}}},
    "limits": {"overlap": "allow_all"},
    "submit": SUBMIT,
}
OTHER = {"name": "o", "triggers": {"d": {"data": {"source": "topic"}}}, "submit": SUBMIT}


class SlowClock(ManualClock):
    """Each reading takes a tenth of a second, so a transaction has time for a few items."""

    def monotonic(self) -> float:
        self.time += 0.1
        return self.time


@pytest.fixture
def bench(tmp_path: Path) -> DrivenEngine:
    return DrivenEngine(tmp_path / "s.db", [RULE, OTHER], START, clock=SlowClock)


def queue(bench: DrivenEngine, *batches: Batch) -> list[Future[Any]]:
    """Queue the batches, as sources offer them."""
    return [bench.engine.offer(batch) for batch in batches]


def finish(bench: DrivenEngine) -> int:
    """The number of transactions until the queue is empty."""
    count = 0
    while bench.engine.queued:
        bench.step()
        count += 1
    return count


def pushed(first: int, last: int) -> Batch:
    return Batch("push", [event(n) for n in range(first, last)])


def records(first: int, last: int, in_each: int = 1) -> Batch:
    """Records of one partition with ``in_each`` events each. The offset of the first is `first / in_each`."""
    offsets = [n // in_each for n in range(first, last)]
    record = {"topic": "orders", "partition": 0}
    items = [replace(event(n), record={**record, "offset": n // in_each}) for n in range(first, last)]
    return Batch("push", items, 0.0, offsets=OffsetRange(PART, 1, offsets[0], offsets[-1] + 1, offsets))


def ledger(bench: DrivenEngine) -> list[str]:
    return [row[0] for row in bench.query("SELECT id FROM events ORDER BY seq")]


BATCHES: list[Any] = [
    pytest.param(lambda: pushed(0, 20), id="events with identities"),
    pytest.param(lambda: records(0, 20), id="records with positions"),
    pytest.param(
        lambda: replace(records(0, 20), items=[*records(0, 19).items, Poison("push", "e19", b"{", "no JSON")]),
        id="one of them unreadable",
    ),
]


@pytest.mark.parametrize("make_batch", BATCHES)
@pytest.mark.parametrize("care", ["plain", "careful", "item by item"])
def test_a_batch_in_parts_has_one_answer(
    bench: DrivenEngine, make_batch: Callable[[], Batch], care: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if care != "plain":
        bench.care = Care.ALWAYS
        bench.restart()
    if care == "item by item":
        monkeypatch.setattr(events, "_plainly", lambda *_: 1 / 0)
    bench.engine.claim("push", PART, "t", 0)
    batch = make_batch()
    (answer,) = queue(bench, batch)
    assert finish(bench) > 2
    outcomes = ["matched" if isinstance(item, Event) else "dead_lettered" for item in batch.items]
    assert answer.result(timeout=0).outcomes == outcomes
    assert ledger(bench) == [item.id for item in batch.items if isinstance(item, Event)]
    assert len(bench.query("SELECT id FROM runs WHERE rule = 'r'")) == outcomes.count("matched") // 5
    assert bench.engine.queued == 0
    if batch.offsets is not None:
        assert bench.engine.parts("push") == {PART: 20}


def test_a_position_is_where_the_committed_part_ends(bench: DrivenEngine) -> None:
    """After a kill between two parts, the reader continues after the last record that counted."""
    bench.engine.claim("push", PART, "t", 0)
    queue(bench, records(0, 20))
    bench.step()
    done = len(ledger(bench))
    assert 0 < done < 20
    bench.restart()
    claimed = bench.engine.claim("push", PART, "t")
    assert claimed.next == done
    rest = replace(records(done, 20), offsets=OffsetRange(PART, claimed.epoch, done, 20))
    bench.deliver_all([rest])
    assert ledger(bench) == [f"e{n}" for n in range(20)]


def test_the_events_of_one_record_stay_together(bench: DrivenEngine) -> None:
    bench.engine.claim("push", PART, "t", 0)
    queue(bench, records(0, 40, in_each=8))
    while bench.engine.queued:
        bench.step()
        assert len(ledger(bench)) == bench.engine.parts("push")[PART] * 8
    assert len(ledger(bench)) == 40


def test_events_that_nobody_can_tell_from_repeats_stay_together(bench: DrivenEngine) -> None:
    queue(bench, replace(pushed(0, 20), identity_window=0.0))
    bench.step()
    assert len(ledger(bench)) == 20


def test_other_sources_come_in_between_and_batches_of_one_source_stay_in_order(bench: DrivenEngine) -> None:
    bench.engine.claim("push", PART, "t", 0)
    other = Batch("topic", [Event("topic", "other", "t", START, {})])
    first, second, between = queue(bench, records(0, 20), records(20, 25), other)
    bench.step()
    assert not between.done()
    bench.step()
    assert between.result(timeout=0).outcomes == ["matched"]
    assert not first.done()
    finish(bench)
    assert len(first.result(timeout=0).outcomes) == 20
    assert second.result(timeout=0).outcomes == ["matched"] * 5
    assert [name for name in ledger(bench) if name != "other"] == [f"e{n}" for n in range(25)]


def test_a_part_that_somebody_else_has_claimed_loses_only_the_rest(bench: DrivenEngine) -> None:
    bench.engine.claim("push", PART, "t", 0)
    (answer,) = queue(bench, records(0, 20))
    bench.step()
    bench.engine.claim("push", PART, "t")
    done = ledger(bench)
    finish(bench)
    assert isinstance(answer.exception(timeout=0), PositionLost)
    assert ledger(bench) == done
    assert bench.engine.parts("push") == {PART: len(done)}
    assert bench.engine.queued == 0


def test_what_another_replica_took_in_is_folded_in_parts(bench: DrivenEngine) -> None:
    batch = replace(pushed(0, 20), identity_window=0.0)
    assert bench.act(lambda tx: inbox.put(tx.conn, batch)) == [inbox.ACCEPTED] * 20
    count = 1
    while bench.act(inbox.fold_in):
        count += 1
    assert count > 2
    assert ledger(bench) == [f"e{n}" for n in range(20)]
    assert bench.query("SELECT count(*) FROM inbox") == [(0,)]
