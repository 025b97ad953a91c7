"""What those ask of the engine who submit and follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bench import Bench
from .kit import ANY, START, SUBMIT, event, observed, start

if TYPE_CHECKING:
    from pathlib import Path

RULE = {"name": "rule-0", "triggers": ANY, "limits": {"overlap": "allow_all", "max_active": 10}, "submit": SUBMIT}


def test_what_must_be_found_is_told_by_id_and_read_when_it_is_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "s.db", [RULE], START)
    for number in range(3):
        bench.deliver([event(number)])
    assert bench.desk.live_ids() == []
    first, second, third = start(bench)
    bench.desk.observed([observed(second, "Succeeded"), observed(third, "Running")])
    assert bench.desk.live_ids() == [first.id, third.id]
    assert [run.workflow for run in bench.desk.read_runs([third.id])] == [third.workflow]
