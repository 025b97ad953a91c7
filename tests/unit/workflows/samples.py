"""A run as the engine creates it. Tests change the fields that they need."""

from typing import Any

from retrainer.runs.run import Run, RunPhase

ULID = "01JB2M0Q8K5W4Z3Y2X1V0T9S8R"


def a_run(run: str = ULID, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": run,
        "rule": "churn",
        "key": "",
        "phase": RunPhase.SUBMITTING,
        "workflow": f"churn-{run.lower()}",
        "namespace": "ml",
        "submit": {"workflow_template": "churn-train"},
        "parameters": {},
        "labels": {},
        "trigger": "nightly",
        "reason": "schedule",
        "created_at": 1_800_000_000.0,
        "submit_attempts": 1,
    }
    return Run(**(values | changes))
