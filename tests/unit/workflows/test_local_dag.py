"""Dags of the largest size: no bound of the interpreter is met before the engine's own."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.workflows.local.dag import Dag
from retrainer.workflows.local.node import Ended
from retrainer.workflows.local.scope import Scope
from retrainer.workflows.local.shapes import MOST
from retrainer.workflows.local.template import unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = [f"task-{number}" for number in range(MOST - 1)]
FAN_IN = [{"name": name} for name in NAMES] + [{"name": "last", "dependencies": NAMES}]
CHAIN = [{"name": "task-0"}] + [{"name": name, "depends": before} for before, name in pairwise(NAMES)]
EITHER = [{"name": name} for name in NAMES] + [
    {"name": "last", "depends": " || ".join(f"({name}.Failed && !{name}.Errored)" for name in NAMES)}
]


@pytest.mark.parametrize(
    ("tasks", "failing", "phase", "ran"),
    [
        pytest.param(FAN_IN, "", "Succeeded", MOST, id="fan-in"),
        pytest.param(FAN_IN, "task-7", "Failed", MOST - 1, id="fan-in-of-a-failure"),
        pytest.param(CHAIN, "", "Succeeded", MOST - 1, id="chain"),
        pytest.param(CHAIN, "task-0", "Failed", 1, id="chain-of-a-failure"),
        pytest.param(EITHER, "task-998", "Succeeded", MOST, id="any-of-many"),
    ],
)
def test_a_thousand_tasks(tasks: list[dict[str, Any]], failing: str, phase: str, ran: int) -> None:
    used: list[str] = []

    async def use(task: Mapping[str, Any], _scope: Scope) -> Ended:
        used.append(task["name"])
        return Ended("Failed" if task["name"] == failing else "Succeeded")

    dag = Dag({"tasks": tasks}, "", use, lambda _: Ended("Omitted"))
    ended, _ = asyncio.run(dag.run(Scope({})))
    assert (ended.phase, len(used)) == (phase, ran)


@pytest.mark.parametrize(
    "tasks", [pytest.param(FAN_IN, id="fan-in"), pytest.param(CHAIN, id="chain"), pytest.param(EITHER, id="any")]
)
def test_a_thousand_tasks_are_checked(tasks: list[dict[str, Any]]) -> None:
    whole = [{**task, "template": "say"} for task in tasks]
    templates = [{"name": "main", "dag": {"tasks": whole}}, {"name": "say", "container": {"command": ["true"]}}]
    assert unsupported({"spec": {"entrypoint": "main", "templates": templates}}) == []
