"""Runs that may start at once are leased to the submitter in the transaction that creates them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.event import Event
from tests.houses.engine import Crash, DrivenEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = 1_790_000_000.0


def firing(name: str, **limits: Any) -> dict[str, Any]:
    return {
        "name": name,
        "triggers": {"each": {"data": {"source": "push"}}},
        "limits": {"overlap": "allow_all", "max_active": 100, **limits},
        "submit": {"workflow_template": "train"},
    }


def event(number: int) -> Event:
    return Event("push", f"e{number}", "t", START, {})


def phases(bench: DrivenEngine) -> dict[str, str]:
    return dict(bench.query("SELECT rule, phase FROM runs ORDER BY id"))


def test_a_run_is_given_to_the_submitter_as_it_stands_in_the_store(tmp_path: Path) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [firing("a")], START, room=5)
    bench.deliver([event(1)])
    (given,) = bench.submitter.taken
    ((run, phase, lease, attempts),) = bench.query("SELECT id, phase, lease_until, submit_attempts FROM runs")
    assert (given.id, given.phase, given.lease_until, given.submit_attempts) == (run, phase, lease, attempts)
    assert (phase, lease) == ("SUBMITTING", START + bench.submitter.lease)
    assert bench.gateway.claim(10, 30) == []


def test_without_room_it_waits_and_the_submitter_is_woken(tmp_path: Path) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [firing("low", priority=1), firing("high", priority=2)], START, room=1)
    woken: list[str] = []
    bench.engine.on_admitted = lambda: woken.append("admitted")
    bench.deliver([event(1)])
    assert phases(bench) == {"low": "PENDING", "high": "SUBMITTING"}
    assert [run.rule for run in bench.submitter.taken] == ["high"]
    assert woken == ["admitted"]
    assert [run.rule for run in bench.gateway.claim(10, 30)] == ["low"]


def test_where_all_were_given_nobody_is_woken_to_look_for_more(tmp_path: Path) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [firing("a")], START, room=5)
    woken: list[str] = []
    bench.engine.on_admitted = lambda: woken.append("admitted")
    bench.deliver([event(1), event(2)])
    assert len(bench.submitter.taken) == 2
    assert woken == []


def test_a_run_that_has_to_be_admitted_is_not_given_before(tmp_path: Path) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [firing("a", pool="gpu")], START, pools={"gpu": 1}, room=5)
    bench.deliver([event(1), event(2)])
    assert bench.submitter.taken == []
    assert len(bench.gateway.claim(10, 30)) == 1


@pytest.mark.parametrize("crash", ["before", "after"])
def test_what_was_given_to_a_process_that_died_is_claimed_by_the_next(tmp_path: Path, crash: str) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [firing("a")], START, room=5)
    bench.crash_at = crash
    with pytest.raises(Crash):
        bench.deliver([event(1)])
    bench.restart()
    outcome = bench.deliver([event(1)])
    assert outcome == ["matched" if crash == "before" else "duplicate"]
    runs = [*bench.submitter.taken, *bench.gateway.claim(10, 30)]
    assert [run.rule for run in runs] == ["a"]
    assert len(bench.query("SELECT id FROM runs")) == 1


def test_a_run_is_announced_before_its_commit_and_forgotten_if_that_fails(tmp_path: Path) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [firing("a")], START, room=5)
    bench.deliver([event(1)])
    assert bench.submitter.announced == bench.submitter.taken
    write = bench.engine.store.write
    bench.engine.store.write = lambda announce: write(lambda: _tear(announce))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="torn"):
        bench.deliver([event(2)])
    assert bench.submitter.announced == []
    assert len(bench.submitter.taken) == 1


def _tear(announce: Callable[[], None]) -> None:
    announce()
    raise OSError("torn")
