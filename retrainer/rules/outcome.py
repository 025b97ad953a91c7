"""What goes into `step` and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from retrainer.rules.state import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.state import Counted, ManualRequest
    from retrainer.runs.run import RunPhase


class Kind(StrEnum):
    FIRE = "fire"
    HOLD = "hold"
    SKIP = "skip"


class Reason(StrEnum):
    """Why a decision fell as it did. They label metrics, log lines and an annotation on the Workflow."""

    SCHEDULE = "schedule"
    """A slot was due."""
    BATCH_COMPLETE = "batch_complete"
    """Enough data had come, or its time was up."""
    THRESHOLD = "threshold"
    """A metric has crossed its threshold for long enough."""
    ALERT = "alert"
    """An alert fires."""
    STALE = "stale"
    """The model is too old."""
    UPSTREAM = "upstream"
    """A run of the rule it waits for has ended."""
    MANUAL = "manual"
    """Somebody asked for it."""
    BACKFILL = "backfill"
    """Somebody asked for this slot of its schedule."""
    RETRY = "retry"
    """An attempt failed and another one is allowed."""
    SHADOW = "shadow"
    """It would have run; the rule only watches."""
    BATCH_INCOMPLETE = "batch_incomplete"
    """Not enough data yet."""
    DEBOUNCE = "debounce"
    """Enough data, but it is still arriving."""
    BELOW_THRESHOLD = "below_threshold"
    """No value has crossed the threshold, or too few."""
    FOR_PENDING = "for_pending"
    """The threshold is crossed, but not for long enough yet."""
    NO_DATA = "no_data"
    """The source does not answer, or no series has a value."""
    QUIET = "quiet"
    """A run was the answer already; it takes a fresh crossing, or `repeat_interval`."""
    FRESH = "fresh"
    """The model is young enough, or a run is on its way."""
    MISSING_TRIGGER = "missing_trigger"
    """Some triggers are satisfied, others that `when` asks for are not."""
    WAITING = "waiting"
    """Nothing to do."""
    COOLDOWN = "cooldown"
    """The rule rests after a run."""
    OVERLAP = "overlap"
    """A run of this key is on its way."""
    INHIBITED = "inhibited"
    """A trigger of `unless` is satisfied."""
    MUTED = "muted"
    """A calendar of `mute` is on."""
    BUDGET = "budget"
    """The budget is spent, or reserved for runs on their way."""
    PAUSED = "paused"
    """The rule is paused, by hand or by its mode."""
    CIRCUIT_OPEN = "circuit_open"
    """Too many runs failed in a row; resume the rule to go on."""
    QUARANTINED = "quarantined"
    """Evaluating the rule for this key failed; `retrainer resume` or an edit has it tried again."""
    DEADLINE = "deadline"
    """It was due for too long."""
    CALENDAR = "calendar"
    """The slot falls into an excepted calendar."""
    SUPERSEDED = "superseded"
    """A later slot came before this one could run."""
    MISSED = "missed"
    """The slot passed while nobody could look."""
    EDITED = "edited"
    """The schedule was edited or taken out of the rule before this slot could run."""
    NO_KEYS = "no_keys"
    """The rule has no live key the slot could speak for."""
    BAD_PARAMETERS = "bad_parameters"
    """The run's parameters could not be rendered."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event that triggers of the rule want. ``label`` names the thing that came (an object's key, a subject).

    ``counts`` says for each trigger what the event adds in events, bytes and rows: 1, its size and its rows, but for a
    thing that `distinct_by` counted before only by how much it has grown. ``total`` is the same for the whole rule.
    ``part`` and ``offset`` say where it stood, for sources that have positions.
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
    """A value of one series, taken at ``at`` (epoch seconds); None if there is a series but no number."""

    series: str
    value: float | None
    at: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """Values for a metric or alert trigger. ``whole``: they are all there are; a known series not among them is gone.

    ``trouble`` says why there are none, if the source could not be asked.
    """

    trigger: str
    samples: tuple[Sample, ...]
    whole: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamEnded:
    """A run of the rule that an `after` trigger waits for has ended as it should."""

    trigger: str
    run: str


@dataclass(frozen=True, slots=True)
class PromotionReported:
    """Somebody says what became of the model of a run that has ended."""

    run: str
    promoted: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """When the model was last trained, and last promoted, before the rule knew of it (epoch seconds)."""

    succeeded_at: float | None = None
    promoted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Wake:
    """It is now."""


@dataclass(frozen=True, slots=True)
class SlotDue:
    """A slot of the rule's schedule, spoken for this key."""

    trigger: str
    slot: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A run reached a terminal phase. ``window`` and ``taken`` are what it took.

    ``triggers`` are those that started it, as far as that is known. ``recounted`` is what of that `distinct_by` has
    counted again since, by trigger, and under the empty name for the rule as a whole: it does not come back.
    """

    run: str
    phase: RunPhase
    attempt: int
    by_request: bool
    """Somebody asked it to stop."""
    window: Window
    taken: Mapping[str, Window]
    recounted: Mapping[str, Counted] = field(default_factory=dict)
    promoted: bool | None = None
    """What became of the model, if the run itself says so."""
    triggers: tuple[str, ...] = ()
    at: float | None = None
    """When it ended, in epoch seconds, as its Workflow says: never after it was seen. None: when it was seen."""


@dataclass(frozen=True, slots=True)
class Reopened:
    """A finished run goes on (`argo retry`), or is tried again by hand; its inputs came back already and stay there."""

    run: str = ""


@dataclass(frozen=True, slots=True)
class Manual:
    """Somebody asks for a run now; ``request`` names that, ``by`` says who."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    request: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Backfill:
    """Somebody asks for slots of schedules (trigger, epoch seconds), in this order; none of them waits already."""

    slots: tuple[tuple[str, float], ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    request: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What has not started is not wanted any more: slots of backfills or, with ``manual``, runs asked for by hand."""

    manual: bool = False


@dataclass(frozen=True, slots=True)
class Resumed:
    """The rule was resumed: the circuit breaker closes, and a quarantine ends."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Folding an input in raised ``error``: nothing is evaluated until the key is resumed or the rule edited."""

    error: str


@dataclass(frozen=True, slots=True)
class Unrendered:
    """The run that was just decided could not be given its parameters: it is not born, its inputs come back."""

    new_run: NewRun
    message: str


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Events of the pending window became dead letters, as no parameters could be rendered from them.

    ``counts`` is what they had added to each trigger, ``total`` to the whole rule; the keys are those of the first and
    the last event that are left.
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
    """A run to be. ``not_before`` is the earliest moment it may be admitted; ``retry_of`` the failed attempt.

    ``trigger`` is the first of ``triggers``, all that were satisfied; ``because`` is the tree of them.
    ``values`` are the furthest values of metrics,
    ``upstream`` the run that an `after` trigger waited for. ``asked`` is what was asked for by hand, if it was.
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
    """Fire, Hold or Skip, and why. ``until`` is when it may change by itself, if that is known.

    ``asked`` is what it answers of what was asked for by hand; None if the rule is due by itself.
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

    ``decision`` is the place, among those of the step, of the one that fired it.
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
    """What one input led to. ``stop`` asks the key's runs to end; ``fan_out`` are slots to be spoken for each key."""

    decisions: tuple[Decision, ...] = ()
    slots: tuple[SlotRecord, ...] = ()
    stop: Literal["Stop", "Terminate"] | None = None
    fan_out: tuple[SlotDue, ...] = ()
