"""Faults of any kind in one rule, on the embedded store. tests/integration/postgres has both stores side by side."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.engine.any_fault import AnyFault
from tests.unit.engine.every_place import emitted, stories, wired

MANY = int(os.environ.get("MACHINE_EXAMPLES", "0"))
"""For long runs: other examples each time, and a fault of each kind in each place."""
SETTINGS = settings(
    max_examples=MANY or 8,
    stateful_step_count=40 if MANY else 25,
    derandomize=not MANY,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_whatever_one_rule_raises_its_neighbours_do_as_if_it_were_not_there() -> None:
    with wired():
        run_state_machine_as_test(AnyFault, settings=SETTINGS)


def test_wherever_one_rule_raises_its_neighbours_do_as_if_it_were_not_there() -> None:
    with wired():
        raised = [emitted(AnyFault(), fault, drawn) for fault, drawn in stories(1 if MANY else 9)]
    assert sum(map(bool, raised)) > len(raised) / 3, "most faults are met"
