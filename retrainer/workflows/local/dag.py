"""PURE but for waiting: the tasks of one dag, each started once those that it depends on have ended."""

from __future__ import annotations

import asyncio
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.depends import continues_on, depends_of, met, terms
from retrainer.workflows.local.node import Ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from retrainer.workflows.local.scope import Scope

    Use = Callable[[Mapping[str, Any], Scope], Awaitable[Ended]]
    Omit = Callable[[Mapping[str, Any]], Ended]


class Dag:
    """``use`` executes a task, ``omit`` records one whose `depends` was not met.

    ``target``: the names of the tasks that are wanted, with what they wait for; all if it is empty.
    """

    def __init__(self, dag: Mapping[str, Any], target: str, use: Use, omit: Omit) -> None:
        self._tasks: dict[str, Mapping[str, Any]] = {task["name"]: task for task in dag["tasks"]}
        self._conditions = {name: depends_of(task) for name, task in self._tasks.items()}
        parents = {name: frozenset(task for task, _ in terms(text)) for name, text in self._conditions.items()}
        self._order = list(TopologicalSorter(parents).static_order())
        self._parents = parents
        self._fail_fast = dag.get("failFast", True)
        self._targets = self._known(target.split()) or self._leaves()
        self._use = use
        self._omit = omit
        self._ended: dict[str, Ended] = {}
        self._waiting = self._needed()

    async def run(self, scope: Scope) -> tuple[Ended, Scope]:
        """Execute the tasks. Return how the dag ended, without its outputs, and the scope with those of its tasks."""
        running: dict[asyncio.Future[Ended], str] = {}
        while True:
            while ready := self._ready():
                for name in ready:
                    if met(self._conditions[name], self._ended, self._tasks):
                        running[asyncio.ensure_future(self._use(self._tasks[name], scope))] = name
                    else:
                        self._ended[name] = self._omit(self._tasks[name])
            if not running:
                return self._end(), scope
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            ended = {running.pop(task): task.result() for task in done}
            self._ended |= ended
            scope = scope.with_nodes((f"tasks.{name}", one) for name, one in ended.items())

    def __len__(self) -> int:
        """Return how many tasks are to end."""
        return len(self._waiting)

    def _known(self, names: list[str]) -> list[str]:
        if unknown := [name for name in names if name not in self._tasks]:
            raise ValueError(f"dag.target: there is no task {unknown[0]!r}")
        return names

    def _leaves(self) -> list[str]:
        inner = frozenset[str]().union(*self._parents.values())
        return [name for name in self._tasks if name not in inner]

    def _needed(self) -> dict[str, None]:
        """Return the targets and what they wait for, in the order of the template."""
        needed = set(self._targets)
        for name in reversed(self._order):
            if name in needed:
                needed |= self._parents[name]
        return {name: None for name in self._tasks if name in needed}

    def _ready(self) -> list[str]:
        """Take the tasks whose turn it is. Once the dag is known to fail, only those that follow a failed task."""
        ready = [name for name in self._waiting if self._ended.keys() >= self._parents[name]]
        for name in ready:
            del self._waiting[name]
        if not (self._fail_fast and self._failed_target()):
            return ready
        after = self._after_failures()
        return [name for name in ready if name in after]

    def _after_failures(self) -> set[str]:
        after = {name for name, ended in self._ended.items() if ended.failed}
        for name in self._order:
            if not after.isdisjoint(self._parents[name]):
                after.add(name)
        return after

    def _branches(self) -> dict[str, Ended]:
        """Return what counts for each ended task: its own end, or that of a parent if it did not run."""
        found: dict[str, Ended] = {}
        for name in self._order:
            if (own := self._ended.get(name)) is None:
                continue
            above = [found[parent] for parent in self._parents[name] if parent in found]
            found[name] = own if own.ran else next((one for one in above if one.failed), Ended("Succeeded"))
        return found

    def _failed_target(self) -> Ended | None:
        if not any(ended.failed for ended in self._ended.values()):
            return None
        branches = self._branches()
        failed = [name for name in self._targets if name in branches and branches[name].failed]
        return next((branches[name] for name in failed if not continues_on(self._tasks[name], branches[name])), None)

    def _end(self) -> Ended:
        failed = self._failed_target()
        return Ended(failed.phase, failed.message) if failed else Ended("Succeeded")
