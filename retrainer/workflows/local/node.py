"""PURE: the nodes of a run: which template was used where, with which inputs, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED = ("Failed", "Error")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a node leaves for others. ``artifacts``: their places on disk. ``result``: the standard output, if kept.

    ``listed``: of a loop, the parameters of all items as one JSON list.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, object] = field(default_factory=dict)
    result: str | None = None
    exit_code: int | None = None
    listed: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a node ended: Argo's phase, the reason, and its outputs. ``items``: of a loop, how each item ended.

    Times are seconds since the epoch.
    """

    phase: str
    message: str = ""
    outputs: Outputs = field(default_factory=Outputs)
    items: tuple[Ended, ...] = ()
    started: float = 0.0
    finished: float = 0.0

    @property
    def failed(self) -> bool:
        return self.phase in FAILED

    @property
    def ran(self) -> bool:
        return self.failed or self.phase == "Succeeded"
