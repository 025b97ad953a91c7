"""Helpers for tests of the engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from retrainer.event import Event
from retrainer.rules.state import State, decode
from retrainer.workflows.base import Observed

if TYPE_CHECKING:
    from retrainer.runs.run import Run
    from tests.houses.engine import DrivenEngine

START = 1_800_000_000.0
DAY = 86400.0
SUBMIT = {"workflow_template": "train"}
ANY = {"d": {"data": {"source": "push"}}}

Make = Any


def event(number: int, **data: Any) -> Event:
    return Event("push", f"e{number}", "t", START, data)


def observed(run: Run, phase: str, **more: Any) -> Observed:
    return Observed(run.namespace, run.workflow, f"uid-{run.id}", run.id, phase, **more)


def start(bench: DrivenEngine) -> list[Run]:
    """Submit the admitted runs."""
    runs = bench.gateway.claim(100, 30)
    for run in runs:
        bench.gateway.submitted(run.id, f"uid-{run.id}")
    return runs


def end(bench: DrivenEngine, phase: str = "Succeeded", **more: Any) -> list[Run]:
    """Submit the admitted runs, and report their end; ``more`` are further fields of the report."""
    runs = start(bench)
    bench.gateway.observed([observed(run, phase, **more) for run in runs])
    return runs


def state(bench: DrivenEngine, rule: str = "rule-0", key: str = "") -> State:
    (row,) = bench.query(f"SELECT state FROM states WHERE rule = '{rule}' AND key = '{key}'")
    return decode(row[0])


def windows(bench: DrivenEngine) -> list[dict[str, Any]]:
    """The windows of the runs, oldest first."""
    return [json.loads(row[0]) for row in bench.query("SELECT window FROM runs ORDER BY id")]


def data(match: dict[str, Any] | None = None, *, at_least: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One data trigger `d` on the source `push`."""
    batch = {**({"at_least": at_least} if at_least else {}), **more.pop("batch", {})}
    return {"d": {"data": {"source": "push", "match": match or {}, "batch": batch, **more}}}
