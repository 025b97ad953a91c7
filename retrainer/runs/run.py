"""A run: one intended workflow, created as PENDING in the same transaction as its decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class RunPhase(StrEnum):
    PENDING = "PENDING"
    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    UNKNOWN = "UNKNOWN"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset(
    {RunPhase.SUCCEEDED, RunPhase.FAILED, RunPhase.ERROR, RunPhase.CANCELLED, RunPhase.SKIPPED, RunPhase.UNKNOWN}
)
LIVE = frozenset(RunPhase) - TERMINAL


@dataclass(frozen=True, slots=True)
class Run:
    """All data of a run. Times are epoch seconds (UTC).

    ``id`` is a ULID. ``workflow`` is the Workflow's name, set at creation. ``chain`` is the id of the first attempt,
    whose ``attempt`` is 1. ``submit`` is the rule's submit section at creation (JSON-shaped, durations in seconds);
    ``parameters`` are the rendered arguments. ``uid`` is that of the Workflow, once the API server has assigned it.
    """

    id: str
    rule: str
    key: str
    phase: RunPhase
    workflow: str
    namespace: str
    submit: Mapping[str, Any]
    parameters: Mapping[str, str]
    labels: Mapping[str, str]
    trigger: str
    reason: str
    created_at: float
    revision: str = ""
    chain: str = ""
    attempt: int = 1
    retry_of: str | None = None
    scheduled_at: float | None = None
    """The slot that started it, if a schedule did (epoch seconds)."""
    window: Mapping[str, Any] = field(default_factory=dict)
    taken: Mapping[str, Any] = field(default_factory=dict)
    pool: str | None = None
    priority: int = 0
    not_before: float = 0.0
    admitted_at: float | None = None
    uid: str | None = None
    submit_attempts: int = 0
    lease_until: float | None = None
    submitted_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    progress: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    """Seconds of use by resource (cpu, memory, nvidia.com/gpu), from Argo's resourcesDuration."""
    cause: Mapping[str, Any] = field(default_factory=dict)
    """What started it: ``triggers``, the furthest ``values`` of metrics, the ``upstream`` run, the ``detail``."""
    promoted: bool | None = None
    """Whether its model was promoted; None if this was not reported."""
    gpu_hours: float | None = None
    """GPU hours that it used, once it has ended."""
    stop_requested: str | None = None
    """None, or ``Stop`` or ``Terminate``."""
    released: bool = False
    """Whether the finalizer of retrainer was removed from the Workflow (or never was set)."""
