"""A listener that records decisions with their times, runs and dead letters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def emitted(self, what: str, facts: dict[str, Any], now: float) -> None:
        if what == "decided":
            self.decisions.append(Decided(now, facts["rule"], facts["key"], facts["decision"]))
        elif what == "run.created":
            self.runs.append(facts["run"])
        elif what == "dead_letter":
            self.dead_letters.append((now, f"{facts['source']} {facts['event']}: {facts['reason']}: {facts['error']}"))

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        pass
