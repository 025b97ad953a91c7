"""Inputs and results of `step`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from retrainer.rules.window import Counted, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.state import ManualRequest
    from retrainer.runs.run import RunPhase


class Kind(StrEnum):
    FIRE = "fire"
    HOLD = "hold"
    SKIP = "skip"


class Reason(StrEnum):
    """The reason of a decision: a label of metrics, a field of log lines and an annotation on the Workflow."""

    SCHEDULE = "schedule"
    """A slot was due."""
    BATCH_COMPLETE = "batch_complete"
    """Enough data had arrived, or `max_wait` was over."""
    THRESHOLD = "threshold"
    """A metric has crossed its threshold for long enough."""
    ALERT = "alert"
    """An alert fires."""
    STALE = "stale"
    """The model is too old."""
    UPSTREAM = "upstream"
    """A run of the rule that an `after` trigger names has ended."""
    MANUAL = "manual"
    """A manual run was requested."""
    BACKFILL = "backfill"
    """A backfill of this slot was requested."""
    RETRY = "retry"
    """An attempt failed and another one is allowed."""
    SHADOW = "shadow"
    """The rule would have started a run; in shadow mode it only records this."""
    BATCH_INCOMPLETE = "batch_incomplete"
    """Not enough data yet."""
    DEBOUNCE = "debounce"
    """Enough data, but more is still arriving."""
    BELOW_THRESHOLD = "below_threshold"
    """No value has crossed the threshold, or too few."""
    FOR_PENDING = "for_pending"
    """The threshold is crossed, but not for long enough yet."""
    NO_DATA = "no_data"
    """The source does not answer, or no series has a value."""
    QUIET = "quiet"
    """A run has answered it; it must cross the threshold again, or `repeat_interval` must pass."""
    FRESH = "fresh"
    """The model is young enough, or a run is active."""
    MISSING_TRIGGER = "missing_trigger"
    """Some triggers are satisfied, others that `when` needs are not."""
    WAITING = "waiting"
    """There is nothing to do."""
    COOLDOWN = "cooldown"
    """The cooldown after a run is not over."""
    OVERLAP = "overlap"
    """A run of this key is active."""
    INHIBITED = "inhibited"
    """A trigger of `unless` is satisfied."""
    MUTED = "muted"
    """A calendar of `mute` is active."""
    BUDGET = "budget"
    """The budget is used up, or reserved for active runs."""
    PAUSED = "paused"
    """The rule is paused, manually or by its mode."""
    CIRCUIT_OPEN = "circuit_open"
    """Too many runs failed in a row; `retrainer resume` closes the circuit breaker."""
    QUARANTINED = "quarantined"
    """Evaluating the rule for this key failed; `retrainer resume` or an edit of the rule retries it."""
    DEADLINE = "deadline"
    """The rule was due for too long."""
    CALENDAR = "calendar"
    """The slot is in a calendar of `except`."""
    SUPERSEDED = "superseded"
    """A later slot became due before this one could run."""
    MISSED = "missed"
    """The slot passed while the rule was not evaluated, and was not recovered."""
    EDITED = "edited"
    """The schedule was edited or removed before this slot could run."""
    NO_KEYS = "no_keys"
    """The rule has no live key that the slot could apply to."""
    BAD_PARAMETERS = "bad_parameters"
    """The run's parameters could not be rendered."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event that triggers of the rule match. ``label`` is what it is about (an object's key, a subject).

    ``counts`` has for each trigger what the event adds in events, bytes and rows: 1, its size and its rows. For a value
    that `distinct_by` has counted before it is only the growth. ``total`` is the same for the whole rule. ``part`` and
    ``offset`` are the event's partition and offset, for sources that have them.
    """

    seq: int
    time: float
    label: str
    counts: Mapping[str, Counted]
    total: Counted
    part: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of one series, taken at ``at`` (epoch seconds); None if the series exists but has no number."""

    series: str
    value: float | None
    at: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """Values for a metric or alert trigger. ``whole``: they are complete; a known series that is missing has no data.

    ``trouble`` says why there are none, if the source could not be queried.
    """

    trigger: str
    samples: tuple[Sample, ...]
    whole: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamEnded:
    """A run of the rule that an `after` trigger names has ended with the outcome that the trigger waits for."""

    trigger: str
    run: str


@dataclass(frozen=True, slots=True)
class PromotionReported:
    """A report whether the model of an ended run was promoted."""

    run: str
    promoted: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """When the model was last trained and last promoted outside of this rule (epoch seconds)."""

    succeeded_at: float | None = None
    promoted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Wake:
    """Evaluate at `now` without a new fact."""


@dataclass(frozen=True, slots=True)
class SlotDue:
    """A slot of the rule's schedule, for this key."""

    trigger: str
    slot: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A run reached a terminal phase. ``window`` and ``taken`` are what it took.

    ``triggers`` are those that started it, as far as known. ``recounted`` is the part that `distinct_by` has counted
    again since, by trigger, and under the empty name for the whole rule: it is not returned.
    """

    run: str
    phase: RunPhase
    attempt: int
    by_request: bool
    """A stop was requested."""
    window: Window
    taken: Mapping[str, Window]
    recounted: Mapping[str, Counted] = field(default_factory=dict)
    promoted: bool | None = None
    """Whether the model was promoted, if the run itself reports it."""
    triggers: tuple[str, ...] = ()
    at: float | None = None
    """When it ended (epoch seconds), by its Workflow; never later than observed. None: when it was observed."""


@dataclass(frozen=True, slots=True)
class Reopened:
    """A finished run continues (`argo retry`) or is retried manually. Its inputs were returned and stay returned."""

    run: str = ""


@dataclass(frozen=True, slots=True)
class Manual:
    """A manual request for a run now. ``request`` is its id, ``by`` the person."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    request: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Backfill:
    """A request for slots of schedules (trigger, epoch seconds), in this order; none of them is waiting already."""

    slots: tuple[tuple[str, float], ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    request: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Cancel requests that have not started: backfill slots or, with ``manual``, manual runs."""

    manual: bool = False


@dataclass(frozen=True, slots=True)
class Resumed:
    """The rule was resumed: the circuit breaker closes, and a quarantine ends."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Folding in an input raised ``error``: nothing is evaluated until the key is resumed or the rule edited."""

    error: str


@dataclass(frozen=True, slots=True)
class Unrendered:
    """The parameters of the run just decided could not be rendered: it is not created, its inputs are returned."""

    new_run: NewRun
    message: str


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Events of the pending window became dead letters, because no parameters could be rendered from them.

    ``counts`` is what they had added to each trigger, ``total`` to the whole rule. The keys are the labels of the first
    and the last remaining event.
    """

    counts: Mapping[str, Counted]
    total: Counted
    first_key: str = ""
    last_key: str = ""


Input = (
    Arrived
    | Sampled
    | UpstreamEnded
    | PromotionReported
    | Imported
    | Wake
    | SlotDue
    | Ended
    | Reopened
    | Manual
    | Backfill
    | Withdrawn
    | Resumed
    | Quarantined
    | Unrendered
    | Spoiled
)


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to create. ``not_before`` is the earliest time of admission; ``retry_of`` is the failed attempt.

    ``triggers`` are all satisfied triggers, ``trigger`` is the first of them, ``because`` is their tree. ``values``
    are the furthest values of metrics, ``upstream`` is the run that an `after` trigger waited for. ``asked`` is the
    manual request, if there was one.
    """

    trigger: str
    triggers: tuple[str, ...] = ()
    because: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    upstream: str | None = None
    window: Window = field(default_factory=Window)
    taken: Mapping[str, Window] = field(default_factory=dict)
    scheduled_at: float | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    not_before: float = 0.0
    retry_of: str | None = None
    asked: ManualRequest | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Fire, hold or skip, and why. ``until`` is when it may change without an input, if known.

    ``asked`` is the manual request that it answers; None if the rule itself is due.
    """

    kind: Kind
    reason: Reason
    detail: str = ""
    until: float | None = None
    new_run: NewRun | None = None
    asked: ManualRequest | None = None


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """The one record of a slot, or of a range of missed ones (``slot`` to ``until``, ``count`` of them).

    ``decision`` is the index, in the decisions of the step, of the one that fired the slot.
    """

    trigger: str
    slot: float
    outcome: Literal["fired", "skipped", "missed"]
    reason: Reason
    until: float
    count: int = 1
    decision: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one input. ``stop`` ends the key's active runs; ``fan_out`` are slots to deliver to each key."""

    decisions: tuple[Decision, ...] = ()
    slots: tuple[SlotRecord, ...] = ()
    stop: Literal["Stop", "Terminate"] | None = None
    fan_out: tuple[SlotDue, ...] = ()
