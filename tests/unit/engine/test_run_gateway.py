"""The interface of the engine for submitter and run reconciler."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from retrainer.telemetry.secrets import hide
from retrainer.workflows.base import Unanswered
from retrainer.workflows.submission import log_failure
from tests.houses.engine import DrivenEngine

from .kit import ANY, START, SUBMIT, event, observed, start

if TYPE_CHECKING:
    from pathlib import Path

RULE = {"name": "rule-0", "triggers": ANY, "limits": {"overlap": "allow_all", "max_active": 10}, "submit": SUBMIT}


def test_what_must_be_found_is_told_by_id_and_read_when_it_is_asked_for(tmp_path: Path) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [RULE], START)
    for number in range(3):
        bench.deliver([event(number)])
    assert bench.gateway.live_ids() == []
    first, second, third = start(bench)
    bench.gateway.observed([observed(second, "Succeeded"), observed(third, "Running")])
    assert bench.gateway.live_ids() == [first.id, third.id]
    assert [run.workflow for run in bench.gateway.read_runs([third.id])] == [third.workflow]


def test_a_store_that_went_away_is_no_failure_of_those_who_wait_for_it(tmp_path: Path) -> None:
    bench = DrivenEngine(tmp_path / "s.db", [RULE], START)
    bench.path.rename(tmp_path / "elsewhere.db")
    for ask in (bench.gateway.live_ids, lambda: bench.gateway.claim(1, 30.0)):
        with pytest.raises(Unanswered, match="no longer exists"):
            ask()
    (tmp_path / "elsewhere.db").rename(bench.path)
    assert bench.gateway.live_ids() == []
    bench.store.close()


def test_what_waits_for_the_store_is_told_below_what_failed() -> None:
    with capture_logs() as said:
        log_failure("submitter.claim_failed", Unanswered("the store is away"))
        log_failure("submitter.claim_failed", ValueError("no"))
    assert [line["log_level"] for line in said] == ["debug", "error"]


def test_an_output_that_repeats_a_secret_is_stored_without_it(tmp_path: Path) -> None:
    hide("CANARY-read-token")
    hide("0.85")
    outputs = {name: {"parameter": name, "type": kind} for name, kind in (("said", "string"), ("auc", "number"))}
    bench = DrivenEngine(tmp_path / "s.db", [{**RULE, "submit": {**SUBMIT, "outputs": outputs}}], START)
    bench.deliver([event(0)])
    (run,) = start(bench)
    emitted = {"said": "401 for Bearer CANARY-read-token", "auc": "0.85"}
    bench.gateway.observed([replace(observed(run, "Succeeded"), outputs=emitted)])
    (stored,) = bench.gateway.read_runs([run.id])
    assert stored.outputs == {"said": "401 for Bearer ***", "auc": 0.85}
