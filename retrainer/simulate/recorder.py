"""A listener that records decisions with their times, runs and dead letters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retrainer.engine.core.notifications import DecisionMade, EventDeadLettered, RunCreated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.engine.core.notifications import Notification
    from retrainer.rules.outcome import Decision
    from retrainer.runs.run import Run


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision at a time (epoch seconds)."""

    at: float
    rule: str
    key: str
    decision: Decision


@dataclass(slots=True)
class Recorder:
    """A `Listener` of the engine that keeps everything in order. ``runs`` are as created."""

    decisions: list[Decided] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    dead_letters: list[tuple[float, str]] = field(default_factory=list)
    """Times and descriptions."""

    def emitted(self, notification: Notification, now: float) -> None:
        match notification:
            case DecisionMade(rule, key, decision):
                self.decisions.append(Decided(now, rule, key, decision))
            case RunCreated(run):
                self.runs.append(run)
            case EventDeadLettered(source, event, reason, error):
                self.dead_letters.append((now, f"{source} {event}: {reason}: {error}"))

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        pass
