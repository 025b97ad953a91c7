"""Where in a run a template is used, and what the graph uses of its surroundings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrainer.workflows.local.library import OWN

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from retrainer.util.clock import Clock
    from retrainer.workflows.local.node import Ended
    from retrainer.workflows.local.pod import Pod


@dataclass(slots=True)
class Siblings:
    """The nodes directly below one dag or steps. ``slots``: how many may run at once; None without a bound."""

    prefix: str = "steps"
    slots: asyncio.Semaphore | None = None
    fail_fast: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a template is used: the ``name`` of its node, the ``key`` of the templates beside it, and its depth.

    ``on_exit``: it is executed although the run is to end.
    """

    name: str = ""
    key: str = OWN
    depth: int = 0
    on_exit: bool = False

    def below(self, name: str) -> Place:
        return replace(self, name=f"{self.name}.{name}" if self.name else name, depth=self.depth + 1)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the graph uses: ``execute`` runs one pod, and ``is_ending`` tells whether the run has to end."""

    folder: Path
    execute: Callable[[Pod], Awaitable[Ended]]
    is_ending: Callable[[], bool]
    clock: Clock
