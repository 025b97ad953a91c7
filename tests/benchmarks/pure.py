"""The cost of one call of the pure `step`."""

from __future__ import annotations

import time
from typing import Any

from retrainer.config.models import Rule
from retrainer.rules.compile import compile_rule
from retrainer.rules.decide import step
from retrainer.rules.fold import first_state
from retrainer.rules.outcome import Arrived
from tests.benchmarks.figures import Figure, percentile

NOW = 1_800_000_000.0
CALLS = 2000
REPETITIONS = 15


def _cost(batch: dict[str, Any]) -> float:
    """Microseconds of one call: the median of several repetitions."""
    body = {
        "name": "bench",
        "triggers": {"new": {"data": {"source": "push", "batch": batch}}},
        "limits": {"overlap": "allow_all", "max_active": 10000},
        "submit": {"workflow_template": "train"},
    }
    rule = compile_rule(Rule.model_validate(body), "r1", {}, paused=False)
    costs = []
    for _ in range(REPETITIONS):
        state = first_state(rule, "", NOW)
        inputs = [
            Arrived(seq, NOW + seq, f"file-{seq}", {"new": (1, 100, 10)}, (1, 100, 10)) for seq in range(1, CALLS + 1)
        ]
        began = time.thread_time()
        for given in inputs:
            state, _ = step(rule, state, given, NOW + given.seq)
        costs.append(1e6 * (time.thread_time() - began) / CALLS)
    return round(percentile(costs, 0.5), 2)


def pure_step() -> list[Figure]:
    method = f"One event of a rule with one data trigger: CPU time, the median of {REPETITIONS} times {CALLS} calls. "
    return [
        Figure("step_hold", _cost({"at_least": {"events": 10**9}}), "us", method + "None completes the batch.", 15),
        Figure("step_fire", _cost({}), "us", method + "Each starts a run (overlap allow_all).", 15),
    ]
