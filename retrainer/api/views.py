"""The responses of the API. Times are RFC 3339 in UTC."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from retrainer.util.timefmt import rfc3339

T = TypeVar("T")


def moment(value: object) -> str:
    """Return seconds since the epoch as RFC 3339 with milliseconds. Raise ValueError if it is not a time."""
    if isinstance(value, str):
        return value
    if not isinstance(value, (int, float)):
        raise ValueError("not a time")  # noqa: TRY004 - pydantic wants a ValueError
    return rfc3339(value)


Moment = Annotated[str, BeforeValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})]


class View(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Open(View):
    """May have more fields than are listed here."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Page(View, Generic[T]):
    items: list[T]
    next: str | None = None
    """`cursor` of the following page. There may be one even if this page is short or empty."""


class LastRun(Open):
    id: str
    phase: str
    ended_at: Moment | None = None


class RuleLine(Open):
    name: str
    mode: str
    """active, shadow or paused, as configured in the rule."""
    paused: bool
    """Paused manually, or by its mode."""
    keys: int
    """Live keys; 0 for a rule without `for_each`."""
    verdict: str
    """Whether and why it fires, is on hold or skips, in one line."""
    decision: str
    """fire, hold or skip."""
    reason: str
    until: Moment | None = None
    """When the current reason ends, if known."""
    next_fire: Moment | None = None
    """The earliest time at which it could fire, if known."""
    last_run: LastRun | None = None


class RuleDetail(RuleLine):
    configuration: dict[str, Any]
    """The rule in force; durations in seconds, sizes in bytes."""


class Node(Open):
    name: str
    state: str = ""
    detail: str = ""
    children: list["Node"] = []


class Explanation(Open):
    rule: str
    key: str
    verdict: str
    decision: str
    reason: str
    until: Moment | None = None
    earliest: Moment | None = None
    tree: list[Node] = []
    event: list[dict[str, Any]] | None = None
    """What each data trigger does with the given event, condition by condition."""


class Triggered(Open):
    decision: str
    reason: str
    detail: str = ""
    run: dict[str, Any] | None = None
    """The run that was created, if any."""
    manifest: dict[str, Any] | None = None
    """With `dry_run`: the Workflow that would be created."""


class Paused(View):
    rule: str
    paused: bool


class Key(View):
    key: str
    wake_at: Moment | None = None
    """When the engine evaluates it again without new input."""
    touched_at: Moment


class Cause(Open):
    triggers: list[str] = []
    """All triggers that were satisfied when the run was created."""
    because: dict[str, Any] = {}
    """The same as a tree, as combined by `when`, each with its reason."""
    values: dict[str, float] = {}
    """The furthest value of each metric at that time."""
    upstream: str | None = None
    """The run of another rule that it follows."""
    detail: str = ""


class Run(View):
    id: str
    rule: str
    key: str
    phase: str
    workflow: str
    """Name of the Workflow, set before it is created."""
    namespace: str
    uid: str | None = None
    trigger: str
    reason: str
    revision: str
    chain: str
    """Id of the first attempt."""
    attempt: int
    retry_of: str | None = None
    parameters: dict[str, str]
    pool: str | None = None
    priority: int
    scheduled_at: Moment | None = None
    created_at: Moment
    admitted_at: Moment | None = None
    submitted_at: Moment | None = None
    started_at: Moment | None = None
    ended_at: Moment | None = None
    message: str
    progress: str
    outputs: dict[str, Any]
    resources: dict[str, float]
    """Seconds of use by resource."""
    cause: Cause
    promoted: bool | None = None
    """Whether its model was promoted; null if not reported."""
    gpu_hours: float | None = None
    """Its cost, once it has ended."""
    stop_requested: str | None = None
    """Stop or Terminate."""


class Window(Open):
    events: int = 0
    bytes: int = 0
    rows: int = 0
    start: Moment | None = None
    """Time of the earliest event."""
    end: Moment | None = None
    """Time of the latest event."""
    first_at: Moment | None = None
    last_at: Moment | None = None
    ranges: list[tuple[int, int]] = []
    """Inclusive ranges of `seq`; events of this rule and key within them are the run's inputs."""


class Waits(View):
    reason: str
    """pool, budget, retry, submission or admission."""
    detail: str
    until: Moment | None = None
    """When it may change without further input, if known."""
    held_by: list[str]
    """Ids of the runs that use what it waits for."""


class RunDetail(Run):
    waits: Waits | None = None
    """What an unstarted run waits for."""
    submit: dict[str, Any]
    """The rule's `submit` section when the run was created."""
    labels: dict[str, str]
    window: Window
    not_before: Moment
    submit_attempts: int
    released: bool
    """Whether our finalizer was removed from the Workflow."""


class Event(View):
    seq: int
    """Position in the order of all inputs."""
    at: Moment
    """When it was received."""
    source: str
    id: str
    type: str
    time: Moment
    """Time of the event itself."""
    subject: str
    data: dict[str, Any]
    attributes: dict[str, Any]
    outcome: str
    """matched, filtered or ignored."""
    rules: list[tuple[str, str]]
    """Rules that it matched, as [rule, key]."""


class Effect(View):
    rule: str
    key: str
    outcome: str
    """matched, dead_lettered, or missed: an event of that source for which one condition did not hold."""
    run: str | None = None
    """The run that consumed it; null while it is pending."""
    detail: str
    """The only condition that failed, by the rule's current configuration."""


class Found(Event):
    effects: list[Effect]


class Input(Event):
    """An event that a run consumed, and the location of its object or record."""

    bucket: str | None = None
    """For an object, as are the next four."""
    key: str | None = None
    version: str | None = None
    etag: str | None = None
    size: int | None = None
    topic: str | None = None
    """For a Kafka record, as are the next two."""
    partition: int | None = None
    offset: int | None = None


class Decision(View):
    id: int
    rule: str
    key: str
    decision: str
    reason: str
    detail: str
    until: Moment | None = None
    run: str | None = None
    first_at: Moment
    last_at: Moment
    count: int
    """Number of equal consecutive decisions."""


class Slot(View):
    key: str
    trigger: str
    slot: Moment
    until: Moment
    """Last slot of the range; the slot itself if it is alone."""
    count: int
    outcome: str
    """due, fired, skipped or missed."""
    reason: str
    run: str | None = None
    at: Moment


class DeadLetter(View):
    id: int
    at: Moment
    source: str
    event: str
    """The event's id."""
    reason: str
    error: str
    rule: str
    """The rule that could not process it, or empty."""
    size: int
    """Bytes of its payload."""


class DeadLetterDetail(DeadLetter):
    payload: str
    encoding: str
    """utf-8 or base64."""


class Replayed(Open):
    replayed: int
    failed: list[dict[str, Any]] = []


class NotImported(View):
    line: int
    """Counted from 1."""
    error: str


class Imported(View):
    imported: int
    failed: list[NotImported]


class Discarded(View):
    discarded: int


class Halted(View):
    partition: str
    reason: str
    """Why it is not read, with the remedy."""


class Source(View):
    name: str
    type: str
    up: bool
    """Whether it works."""
    last_error: str | None = None
    """The current problem."""
    poll_errors: int | None = None
    """Failed polls since it was started; null if it does not poll."""
    lag: int | None = None
    """Number of records that are not stored yet, if known."""
    halted: list[Halted]
    """Partitions that are not read until an operator decides."""
    max_silence: float | None = None
    """Seconds within which it should receive something."""
    silent: bool | None = None
    """Whether nothing was received for longer than that; null without `max_silence`."""
    first_seen_at: Moment | None = None
    """When it was first configured."""
    last_event_at: Moment | None = None


class Position(View):
    partition: str
    next: int
    """The first position that is not stored."""
    topic_id: str
    """Distinguishes partitions of the same name: for Kafka, the topic's id."""


class SourceDetail(Source):
    positions: list[Position]
    configuration: dict[str, Any]
    """The source in force; durations in seconds, sizes in bytes."""


class Reset(View):
    source: str
    partition: str
    next: int
    """Where it continues."""
    topic_id: str


class Replay(View):
    source: str
    state: str
    """running, done, cancelled or failed."""
    from_: Annotated[Moment, Field(alias="from")]
    to: Moment
    rules: list[str]
    dry_run: bool
    """Nothing is stored: the outcomes show what would happen."""
    started_at: Moment
    ended_at: Moment | None = None
    reached: Moment | None = None
    """Time of the latest event of the last step."""
    read: int
    """Events so far: the sum of the outcomes."""
    outcomes: dict[str, int]
    """matched, duplicate, filtered, ignored, unknown, dead_lettered (docs/how-to/replay.md)."""
    error: str
    """Why it failed."""


class DroppedState(View):
    rule: str
    trigger: str
    why: str


class Reloaded(Open):
    revision: str
    changed: bool
    problems: list[str]
    dropped: list[DroppedState]
    """State of triggers that is invalid for the current rules."""


class Health(View):
    status: str
    """ok or stuck."""
    reasons: list[str] = []
    """Why it is stuck. A restart helps."""


class Readiness(View):
    ready: bool
    reasons: list[str]
    """Why it is not."""
    waiting: list[str] = []
    """Components that wait for a server or an operator, for what and since when. They continue by themselves."""


class Waiting(View):
    component: str
    """A source, a thread, `engine`, `workflows`, or the rules of a namespace."""
    dependency: str
    """What it waits for: `store`, `kafka`, `prometheus`, `queue`, `bucket`, `folder`, `api_server`, `decision`, …"""
    since: Moment
    error: str
    """The reason, as reported by the server or its client; empty if only the wait is known."""


class Status(View):
    instance: str
    ready: bool
    reasons: list[str]
    """Why it is not."""
    waiting: list[Waiting]
    """Longest first."""


class Problem(View):
    type: str
    title: str
    status: int
    detail: str
