"""Commits are logged with the fields that operators search for."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from retrainer.daemon.commit_listener import CommitListener
from retrainer.engine.core.notifications import (
    BackfillRequested,
    EventDeadLettered,
    InputLeftOut,
    Notification,
    OwnOutputSkipped,
    RunCreated,
    RunEnded,
    SlotSettled,
)
from retrainer.rules.outcome import Reason, SlotRecord
from retrainer.runs.run import Run, RunPhase
from retrainer.telemetry.metrics import Metrics

CASES: list[Any] = [
    pytest.param(
        EventDeadLettered("push", "e1", "raised", "no field", "churn"),
        {"event": "event.dead_lettered", "id": "e1", "rule": "churn", "error": "no field"},
        id="a dead letter, with the event's id",
    ),
    pytest.param(
        SlotSettled("churn", SlotRecord("n", 1.0, "missed", Reason.MISSED, 2.0, 3)),
        {"event": "slot.not_run", "rule": "churn", "outcome": "missed", "count": 3},
        id="slots that did not run",
    ),
    pytest.param(
        OwnOutputSkipped("churn", "new", "e1", "written by run r1 of this rule"),
        {"event": "event.own_output", "id": "e1", "rule": "churn", "said": "written by run r1 of this rule"},
        id="what a run wrote itself",
    ),
    pytest.param(
        BackfillRequested("churn", "", "r1", "anna", 7),
        {"event": "backfill.asked", "rule": "churn", "by": "anna", "count": 7},
        id="who asked for a backfill",
    ),
]


@pytest.mark.parametrize(("notification", "line"), CASES)
def test_a_line_says_what_happened(notification: Notification, line: dict[str, Any]) -> None:
    with capture_logs() as said:
        CommitListener(Metrics(CollectorRegistry())).emitted(notification, 0.0)
    (only,) = said
    assert line.items() <= only.items()


@pytest.mark.parametrize(
    ("reason", "seen"),
    [
        pytest.param(Reason.SCHEDULE, 1.0, id="a slot"),
        pytest.param(Reason.BACKFILL, 0.0, id="a slot that is run weeks later on purpose"),
    ],
)
def test_a_backfill_is_not_taken_for_a_schedule_that_is_late(reason: Reason, seen: float) -> None:
    registry = CollectorRegistry()
    run = Run("r1", "churn", "", RunPhase.PENDING, "w", "ml", {}, {}, {}, "n", reason.value, 9.0, scheduled_at=1.0)
    CommitListener(Metrics(registry)).emitted(RunCreated(run), 9.0)
    assert registry.get_sample_value("retrainer_schedule_lag_seconds_count") == seen


@pytest.mark.parametrize(
    ("phase", "level"),
    [
        pytest.param(RunPhase.SUCCEEDED, "info", id="success"),
        pytest.param(RunPhase.CANCELLED, "info", id="what somebody asked for"),
        pytest.param(RunPhase.FAILED, "warning", id="failure"),
        pytest.param(RunPhase.ERROR, "warning", id="error"),
        pytest.param(RunPhase.UNKNOWN, "warning", id="nobody knows"),
    ],
)
def test_a_run_ends_in_the_log_and_in_the_histogram_as_it_did(phase: RunPhase, level: str) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.rules._rules.keep_only(["churn"])
    run = Run("r1", "churn", "", RunPhase.RUNNING, "w", "ml", {}, {}, {}, "n", "schedule", 9.0, started_at=10.0)
    with capture_logs() as said:
        CommitListener(metrics).emitted(RunEnded(run, phase, "", {"ended_at": 12.0}), 22.0)
    assert [(line["log_level"], line["event"]) for line in said] == [(level, f"run.{phase.value.lower()}")]
    duration = registry.get_sample_value("retrainer_run_duration_seconds_sum", {"rule": "churn", "phase": phase.value})
    assert duration == 2.0


def test_an_input_that_is_left_out_is_counted_by_its_kind() -> None:
    metrics = Metrics(CollectorRegistry())
    CommitListener(metrics).emitted(InputLeftOut("Observed"), 0.0)
    metrics.process.dead_letters_left_out("push", 2)
    text = metrics.exposition().decode()
    assert 'retrainer_inputs_left_out_total{input="Observed"} 1.0' in text
    assert 'retrainer_dead_letters_left_out_total{source="push"} 2.0' in text
