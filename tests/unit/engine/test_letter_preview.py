"""A preview of a replay says what the replay then does, and leaves nothing behind, on any store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import letter_replay, long_commands, operator_commands
from retrainer.engine.core.containment import Care
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import START, SUBMIT, data, event
from tests.unit.engine.test_replay_filter import everything, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYED = {"by": {"d": "event.data.who"}, "max_keys": 1}


def rules(where: str | None, max_keys: int = 1) -> list[dict[str, Any]]:
    wanted = {"where": where} if where else {}
    keyed = {"name": "keyed", "triggers": data(at_least={"events": 2}), "for_each": {**KEYED, "max_keys": max_keys}}
    one = {"name": "one", "triggers": data(at_least={"events": 1}, **wanted)}
    return [{**one, "submit": SUBMIT}, {**keyed, "submit": SUBMIT}]


def stored(bench: DrivenEngine) -> dict[str, list[Any]]:
    """All rows, but that of the leader, which every transaction on PostgreSQL writes."""
    return {table: rows for table, rows in everything(bench).items() if table != "leader"}


def check(bench: DrivenEngine) -> None:
    """Preview letters that fail, then that count; nothing is stored, and the replay does what was said."""
    bench.deliver([event(n, who=f"k{n}") for n in range(4)])
    bench.deliver([event(9, who="k0"), event(10, who="k9")])
    ids = letters(bench)
    assert len(ids) >= 6
    for edited, kept in ((None, True), (rules(None, max_keys=9), False)):
        if edited is not None:
            bench.edit(edited)
            bench.tick(1)  # what the edit wakes is evaluated
        before, counters = stored(bench), dict(bench.engine.transactions.counters)
        preview = long_commands.preview_replay(lambda f, *a: bench.act(lambda tx: f(tx, *a)), ids)
        assert stored(bench) == before
        assert dict(bench.engine.transactions.counters) == counters
        assert [letter["kept"] for letter in preview["letters"]] == [kept] * len(ids)
        assert preview["unchecked"] == 0
    fired = [letter for letter in preview["letters"] if letter["rule"] == "one"]
    assert all("one: " in letter["detail"] for letter in fired)
    assert "one: fire: batch_complete" in fired[0]["detail"]
    assert any("keyed[k1]: hold: batch_incomplete" in letter["detail"] for letter in preview["letters"])
    assert bench.query("SELECT count(*) FROM runs WHERE rule = 'one'")[0][0] == 0
    answer = bench.act(lambda tx: operator_commands.replay_dead_letters(tx, ids))
    assert (answer["replayed"], answer["failed"], letters(bench)) == (len(ids), [], [])
    assert bench.query("SELECT count(*) FROM runs WHERE rule = 'one'")[0][0] > 0


@pytest.fixture(params=list(Care), ids=[care.value for care in Care])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DrivenEngine]:
    bench = DrivenEngine(tmp_path / "s.db", rules("event.data.n > 0"), START, care=request.param)
    yield bench
    bench.close()


def test_a_preview_leaves_nothing_and_says_what_the_replay_does(bench: DrivenEngine) -> None:
    check(bench)


def test_a_transaction_previews_one_letter_at_least_and_no_more_once_its_time_is_over(bench: DrivenEngine) -> None:
    bench.deliver([event(n, who="k") for n in range(3)])
    ids = letters(bench)

    def slow(tx: Any) -> dict[str, Any]:
        moments = iter(range(100))
        tx.budget.elapsed = lambda: float(next(moments))
        return letter_replay.preview(tx, ids)

    answer = bench.act(slow)
    assert ([letter["id"] for letter in answer["letters"]], sorted(answer["left"])) == (ids[:1], ids[1:])


def test_a_damaged_letter_is_kept_and_says_why(bench: DrivenEngine) -> None:
    bench.deliver([event(1, who="k")])
    with bench.store.write() as conn:
        conn.exec_driver_sql("UPDATE dead_letters SET payload = CAST('{' AS BLOB)")
    ids = letters(bench)
    (letter, *_) = bench.act(lambda tx: letter_replay.preview(tx, ids))["letters"]
    assert letter["kept"] is True
    assert bench.deliver([event(2, who="k", n=1)]) == ["matched"]
