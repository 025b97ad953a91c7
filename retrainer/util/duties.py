"""What each kind of supervised thread does, and what happens if it dies or hangs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from retrainer.util.failpoints import Kind


@dataclass(frozen=True, slots=True)
class Duty:
    """What a kind of thread does, and how long it may be silent in its own work, in seconds.

    ``died`` is the action if it raises or returns, ``hung`` if it is silent for twice as long as allowed: `restart`
    calls it again on the same thread; `replace` starts a new thread and abandons the old one; `end` ends the process;
    `fail` leaves the failure to the caller that started it.
    """

    does: str
    silent_for: float
    died: Literal["restart", "end", "fail"]
    hung: Literal["replace", "end"]


DUTIES: Final[dict[Kind, Duty]] = {
    "engine": Duty("decides and writes, one transaction after the other", 30, "end", "end"),
    "source": Duty("reads what its source reports", 60, "restart", "replace"),
    "held": Duty("deletes stored messages of a queue and keeps the others hidden", 60, "restart", "replace"),
    "sweep": Duty("lists the buckets of a source and compares", 300, "restart", "replace"),
    "replay": Duty("reads a source again", 300, "fail", "replace"),
    "lead": Duty("keeps the leader lease of a shared store, or waits for it", 30, "end", "end"),
    "taking": Duty("starts what only the leader does", 300, "end", "end"),
    "web": Duty("serves the API, webhooks, metrics and probes", 30, "end", "end"),
    "claim": Duty("claims admitted runs", 60, "restart", "end"),
    "submit": Duty("creates Workflows", 60, "restart", "end"),
    "observe": Duty("stores what the watch saw", 60, "restart", "end"),
    "follow": Duty("stops and releases Workflows and asks for lost ones", 60, "restart", "end"),
    "watch": Duty("watches Workflows", 60, "restart", "end"),
    "rules": Duty("watches the ConfigMaps of a namespace", 60, "restart", "end"),
    "timer": Duty("does one thing at intervals: reload, prune, listen", 300, "restart", "end"),
    "standby-intake": Duty("stores what the sources of a standby bring", 30, "end", "end"),
    "inbox-drainer": Duty("folds in what standbys took in", 60, "restart", "end"),
}
