"""Models of rule test files, ``version: 1``. The docstring of each field is its description in the JSON Schema."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from retrainer.config.models.base import Duration, Model, parse_duration
from retrainer.simulate import notation

_FORMS = "write a duration after the start, such as 10m, or a time with a zone, such as 2026-03-02T08:00:00Z"


def moment(text: str, start: float) -> float:
    """Return epoch seconds; a duration counts from ``start``. Raise ValueError; the message says how to fix it."""
    if text[:4].isdigit() and text[4:5] == "-":
        return absolute(text)
    try:
        return start + parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time: {_FORMS}") from None


def absolute(text: str) -> float:
    """Return the epoch seconds of an RFC 3339 time. Raise ValueError; the message says how to fix it."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time: write it as 2026-03-02T08:00:00Z") from None
    if read.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: append Z or +01:00")
    return read.timestamp()


def _readable_by(read: Any) -> AfterValidator:
    """Require a text that ``read`` accepts. The text stays as it is written."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


Moment = Annotated[str, _readable_by(lambda text: moment(text, 0.0)), Field(examples=["10m", "2026-03-02T08:00:00Z"])]
Phase = Literal["SUCCEEDED", "FAILED", "ERROR", "CANCELLED", "UNKNOWN"]
Scalar = str | int | float | bool


class Sent(Model):
    source: str
    """Name of a source in the rule files."""
    data: dict[str, Any] = {}
    """`event.data`."""
    type: str = "event"
    """`event.type`."""
    subject: str = ""
    """`event.subject`."""
    id: str | None = None
    """`event.id`. Events with the same id are duplicates. Default: a unique id."""
    time: Moment | None = None
    """`event.time`. Default: the time of arrival."""


class Values(Model):
    source: str
    """Name of a source. The values of a `prometheus` source are found by polls; other sources push them as events."""
    expr: str | None = None
    """The query that finds the series. Only for a `prometheus` source."""
    metric: str = ""
    """`event.data.metric`. Only for other sources."""
    labels: dict[str, str] = {}
    """The labels of the series."""
    values: Annotated[str, _readable_by(notation.read)]
    """Values in sequence, `every` apart: `0.3` once, `0.3x10` ten times, `0.1+0.05x10` rising, `_` for no sample,
    `NaN`, and `error` for a failed query."""
    age: Duration = 0.0
    """Age of the samples when they are found (`sample_time`)."""


class AlertSent(Model):
    source: str
    """Name of an `alertmanager` source."""
    labels: dict[str, str]
    """Labels of the alert. They identify it."""
    status: Literal["firing", "resolved"] = "firing"
    """Whether the alert is firing or resolved."""


class Ends(Model):
    """How a run ends."""

    rule: str
    """Rule of the run."""
    key: str | None = None
    """Key of the run. Default: any key."""
    phase: Phase = "SUCCEEDED"
    """Terminal phase of the run."""
    outputs: dict[str, Scalar] = {}
    """Values of the outputs that the rule names."""
    gpu_hours: Annotated[float, Field(ge=0)] = 0.0
    """Cost of the run."""


class Goes(Ends):
    lasts: Duration
    """Time from the start of a run to its end."""


class Asks(Model):
    rule: str
    """Rule of the manual run."""
    key: str = ""
    """Key of the manual run."""
    parameters: dict[str, str] = {}
    """Parameters that override the rule's."""


class Judges(Model):
    rule: str
    """Rule whose last ended run is judged. The run must have succeeded."""
    key: str = ""
    """Key of the run."""
    promoted: bool
    """Whether the model was promoted."""


class Age(Model):
    rule: str
    """Rule of the model."""
    key: str = ""
    """Key of the model."""
    succeeded: Moment
    """When the model was last trained."""


class Input(Model):
    """Exactly one kind of input."""

    at: Moment
    """When it happens (the first time)."""
    every: Duration | None = None
    """Time between values or repetitions. Default for a `prometheus` source: its `polling_interval`."""
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Number of times an event arrives."""
    event: Sent | None = None
    """An event arrives."""
    metric: Values | None = None
    """Values of a series arrive."""
    alert: AlertSent | None = None
    """An alert arrives."""
    end: Ends | None = None
    """The oldest active run of a rule (and key) ends."""
    trigger: Asks | None = None
    """A manual run is requested."""
    pause: str | None = None
    """A rule is paused."""
    resume: str | None = None
    """A rule is resumed."""
    judge: Judges | None = None
    """It is reported whether a model was promoted."""
    trained: Age | None = None
    """The time when a model was last trained is imported (`state import`)."""


class ExpectedRun(Model):
    """Fields that are not given are not compared."""

    rule: str
    """Rule of the run."""
    key: str = ""
    """Key of the run."""
    at: Moment | None = None
    """When the run was created, to the second."""
    trigger: str | None = None
    """The first of the triggers that started the run."""
    triggers: list[str] | None = None
    """All triggers that started the run."""
    reason: str | None = None
    """The reason, as shown by `explain`."""
    parameters: dict[str, Scalar] | None = None
    """Parameters with their values. Other parameters are not compared."""
    attempt: Annotated[int, Field(ge=1)] | None = None
    """1 for the first attempt, 2 for its first retry."""


class ExpectedDecision(Model):
    """The last decision at this time. Fields that are not given are not compared."""

    rule: str
    """Rule of the decision."""
    key: str = ""
    """Key of the decision."""
    decision: Literal["fire", "hold", "skip"] | None = None
    """The decision."""
    reason: str | None = None
    """The reason."""
    until: Moment | None = None
    """When the decision may change without a new input, to the second."""


class Expectation(Model):
    at: Moment
    """When to compare, after all inputs at this time."""
    rule: str | None = None
    """Compare runs of this rule only."""
    runs: list[ExpectedRun] | None = None
    """All runs (of this rule, if it is named) started since runs were last compared, in order; [] for none."""
    decisions: list[ExpectedDecision] | None = None
    """The last decisions."""


class Case(Model):
    name: Annotated[str, Field(min_length=1)]
    """Name of the test, unique within the file."""
    start: Annotated[str, _readable_by(absolute)] = "2026-03-02T00:00:00Z"
    """When the rules are loaded. 2026-03-02 is a Monday."""
    runs: list[Goes] = []
    """How runs end. The first line that matches is used; a run without a match lasts until an input ends it."""
    inputs: list[Input] = []
    """The inputs."""
    expect: Annotated[list[Expectation], Field(min_length=1)]
    """The expected results."""


class Cases(Model):
    version: Literal[1]
    """Version of the format."""
    rules: Annotated[list[str], Field(min_length=1)]
    """Files and folders of the tested rules, relative to the folder of this file."""
    tests: Annotated[list[Case], Field(min_length=1)]
    """The tests. Each starts with an empty store."""


def cases_schema() -> dict[str, Any]:
    """Return the JSON Schema of a test file, for editors."""
    schema = Cases.model_json_schema()
    about = {"title": "retrainer rule tests", "description": "Tests of rules, for `retrainer test`."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **about}
