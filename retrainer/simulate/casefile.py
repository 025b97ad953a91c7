"""Files of tests of rules, ``version: 1``: frozen models, each field documented beneath itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from retrainer.config.models.base import Duration, Model, parse_duration
from retrainer.simulate import notation

_FORMS = "write how long after the start, such as 10m, or a moment with its zone, such as 2026-03-02T08:00:00Z"


def moment(text: str, start: float) -> float:
    """Seconds since the epoch; a duration counts from ``start``. Raise ValueError, with the way out."""
    if text[:4].isdigit() and text[4:5] == "-":
        return absolute(text)
    try:
        return start + parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment: {_FORMS}") from None


def absolute(text: str) -> float:
    """RFC 3339 to seconds since the epoch; raise ValueError, with the way out."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment: write one such as 2026-03-02T08:00:00Z") from None
    if read.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: write Z or +01:00 behind it")
    return read.timestamp()


def _is_moment(text: str) -> str:
    moment(text, 0.0)
    return text


def _is_absolute(text: str) -> str:
    absolute(text)
    return text


def _are_values(text: str) -> str:
    notation.read(text)
    return text


Moment = Annotated[str, AfterValidator(_is_moment), Field(examples=["10m", "2026-03-02T08:00:00Z"])]
Phase = Literal["SUCCEEDED", "FAILED", "ERROR", "CANCELLED", "UNKNOWN"]
Scalar = str | int | float | bool


class Sent(Model):
    source: str
    """Name of a source of the rules."""
    data: dict[str, Any] = {}
    """What rules see as `event.data`."""
    type: str = "event"
    """`event.type`."""
    subject: str = ""
    """`event.subject`."""
    id: str | None = None
    """`event.id`; events of one id are one. Each has its own if not given."""
    time: Moment | None = None
    """`event.time`; when it arrives, if not given."""


class Values(Model):
    source: str
    """Name of a source: of a `prometheus` source it is what a poll finds, any other pushes events."""
    expr: str | None = None
    """The query that finds the series; of a `prometheus` source only."""
    metric: str = ""
    """`event.data.metric`; of any other source only."""
    labels: dict[str, str] = {}
    """The labels of the series."""
    values: Annotated[str, AfterValidator(_are_values)]
    """One after the other, `every` so often: `0.3` once, `0.3x10` ten times, `0.1+0.05x10` rising, `_` none, `NaN`, and
    `error` for a query that fails."""
    age: Duration = 0.0
    """The samples are so old when they are found (`sample_time`)."""


class AlertSent(Model):
    source: str
    """Name of an `alertmanager` source."""
    labels: dict[str, str]
    """Its labels; they tell alerts apart."""
    status: Literal["firing", "resolved"] = "firing"
    """Whether it fires or is resolved."""


class Ends(Model):
    """How a run ends."""

    rule: str
    """Whose run."""
    key: str | None = None
    """Of which key; any, if not given."""
    phase: Phase = "SUCCEEDED"
    """How it ends."""
    outputs: dict[str, Scalar] = {}
    """Values of the outputs that the rule names."""
    gpu_hours: Annotated[float, Field(ge=0)] = 0.0
    """What it cost."""


class Goes(Ends):
    lasts: Duration
    """How long after its start a run ends."""


class Asks(Model):
    rule: str
    """Which rule is asked for a run by hand."""
    key: str = ""
    """For which key."""
    parameters: dict[str, str] = {}
    """Parameters that override the rule's."""


class Judges(Model):
    rule: str
    """Whose last run that succeeded."""
    key: str = ""
    """Of which key."""
    promoted: bool
    """What became of its model."""


class Age(Model):
    rule: str
    """Whose model."""
    key: str = ""
    """Of which key."""
    succeeded: Moment
    """When it was last trained."""


class Input(Model):
    """Exactly one thing that happens."""

    at: Moment
    """When it happens, first."""
    every: Duration | None = None
    """How far apart values, or repetitions, are; of a `prometheus` source its `polling_interval` if not given."""
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """How often an event comes."""
    event: Sent | None = None
    """An event arrives."""
    metric: Values | None = None
    """Values of a series are seen."""
    alert: AlertSent | None = None
    """An alert is told of."""
    end: Ends | None = None
    """The oldest run of a rule (and key) that is on its way ends."""
    trigger: Asks | None = None
    """Somebody asks for a run."""
    pause: str | None = None
    """Somebody pauses a rule."""
    resume: str | None = None
    """Somebody resumes a rule."""
    judge: Judges | None = None
    """Somebody tells what became of a model."""
    trained: Age | None = None
    """Somebody tells when a model was last trained (`state import`)."""


class ExpectedRun(Model):
    """What is not given is not looked at."""

    rule: str
    """Whose run."""
    key: str = ""
    """Of which key."""
    at: Moment | None = None
    """When it was decided, to the second."""
    trigger: str | None = None
    """The first of the triggers that started it."""
    triggers: list[str] | None = None
    """All of them."""
    reason: str | None = None
    """Why, as `explain` says."""
    parameters: dict[str, Scalar] | None = None
    """Parameters with their values; others are not looked at."""
    attempt: Annotated[int, Field(ge=1)] | None = None
    """1 for the first, 2 for its first retry."""


class ExpectedDecision(Model):
    """The last decision at that moment. What is not given is not looked at."""

    rule: str
    """Of which rule."""
    key: str = ""
    """Of which key."""
    decision: Literal["fire", "hold", "skip"] | None = None
    """What was decided."""
    reason: str | None = None
    """Why."""
    until: Moment | None = None
    """When that may change by itself, to the second."""


class Expectation(Model):
    at: Moment
    """When to look, after all that happens at that moment."""
    rule: str | None = None
    """Look at runs of this rule alone."""
    runs: list[ExpectedRun] | None = None
    """All runs that were started since runs were last looked at (of this rule, if it is named), in order; none: []."""
    decisions: list[ExpectedDecision] | None = None
    """How decisions stand."""


class Case(Model):
    name: Annotated[str, Field(min_length=1)]
    """What it shows; unique within the file."""
    start: Annotated[str, AfterValidator(_is_absolute)] = "2026-03-02T00:00:00Z"
    """When the rules are first seen. 2026-03-02 is a Monday."""
    runs: list[Goes] = []
    """How runs end by themselves; the first line that fits counts, and what fits none goes on until it is ended."""
    inputs: list[Input] = []
    """What happens."""
    expect: Annotated[list[Expectation], Field(min_length=1)]
    """What should come of it."""


class Cases(Model):
    version: Literal[1]
    """Version of the format."""
    rules: Annotated[list[str], Field(min_length=1)]
    """Files and folders of rules that are tested, seen from the folder of this file."""
    tests: Annotated[list[Case], Field(min_length=1)]
    """The tests; each begins with nothing."""


def cases_schema() -> dict[str, Any]:
    """The JSON Schema of a file of tests, for editors."""
    schema = Cases.model_json_schema()
    about = {"title": "retrainer rule tests", "description": "Tests of rules, for `retrainer test`."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **about}
