"""What listeners of the engine receive after each commit, one type for each kind of change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.rules.outcome import Decision, SlotRecord
    from retrainer.runs.run import Run, RunPhase
    from retrainer.workflows.base import Observed


@dataclass(frozen=True, slots=True)
class EventsTaken:
    """``count`` items of one batch of ``source`` had the same outcome."""

    source: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """A decision, ``count`` times in a row. ``run`` is the id of the run that it created, if any."""

    rule: str
    key: str
    decision: Decision
    run: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class EventDeadLettered:
    """``event`` is the id of the event. ``rule`` is empty if the event cannot be read by any rule."""

    source: str
    event: str
    reason: str
    error: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class DeadLettersDropped:
    """Old dead letters were deleted because they exceed a limit."""

    count: int


@dataclass(frozen=True, slots=True)
class OwnOutputSkipped:
    """An event does not count for a trigger, because a run of its own rule caused it. ``evidence``: how it is known."""

    rule: str
    trigger: str
    event: str
    evidence: str


@dataclass(frozen=True, slots=True)
class InputLeftOut:
    """An input was left out because it raised. ``unit`` is its kind."""

    unit: str


@dataclass(frozen=True, slots=True)
class SlotSettled:
    rule: str
    record: SlotRecord


@dataclass(frozen=True, slots=True)
class BackfillRequested:
    """``count`` is the number of slots to run."""

    rule: str
    key: str
    request: str
    by: str
    count: int


@dataclass(frozen=True, slots=True)
class RequestsWithdrawn:
    """Waiting requests were dropped and their pending runs cancelled: manual runs, or those of backfills."""

    rule: str
    key: str
    manual: bool
    dropped: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class RunCreated:
    run: Run


@dataclass(frozen=True, slots=True)
class RunMoved:
    """``run`` as before it entered ``phase``."""

    run: Run
    phase: RunPhase


@dataclass(frozen=True, slots=True)
class PromotionRecorded:
    """It was reported after the end of a run whether its model was promoted."""

    run: Run
    promoted: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """``run`` as before its end. ``values`` are the columns that its end sets."""

    run: Run
    phase: RunPhase
    message: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnknownRunObserved:
    """A live Workflow belongs to a run that is not in the store, as after a restore of an older backup."""

    workflow: Observed


@dataclass(frozen=True, slots=True)
class ActRecorded:
    """A caller did something, or was refused. The fields are the columns of the table `activity`."""

    act: str
    by: str
    on_behalf_of: str = ""
    address: str = ""
    namespace: str = ""
    rule: str = ""
    key: str = ""
    run: str = ""
    target: str = ""
    dry_run: bool = False
    result: str = "done"
    detail: str = ""


Notification = (
    EventsTaken
    | DecisionMade
    | EventDeadLettered
    | DeadLettersDropped
    | OwnOutputSkipped
    | InputLeftOut
    | SlotSettled
    | BackfillRequested
    | RequestsWithdrawn
    | RunCreated
    | RunMoved
    | PromotionRecorded
    | RunEnded
    | UnknownRunObserved
    | ActRecorded
)


class EngineListener(Protocol):
    """Receives what was committed, for metrics and the log. ``now`` is the time of the transaction (epoch seconds)."""

    def emitted(self, notification: Notification, now: float) -> None: ...

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None: ...
