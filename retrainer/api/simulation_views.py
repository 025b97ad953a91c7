"""What the API answers about simulations."""

from typing import Annotated, Literal

from pydantic import Field

from retrainer.api.views import Id, Moment, View


class MovableField(View):
    path: str
    """Its place in the rule, such as `triggers.drift.metric.above`."""
    unit: Literal["number", "count", "seconds", "bytes"]
    value: float | None
    """The present value; null if the rule does not have the field."""
    written: str
    """The present value as in files."""
    least: float
    """A range in which it is useful to move the value; others are allowed, too."""
    most: float
    about: str
    """What the field means."""
    given: bool
    """Whether the rule or its template writes it; else the value is the default."""


class StartedSimulation(View):
    id: Id


class SimulationLine(View):
    id: Id
    rule: str
    changes: dict[str, str | float]
    """Values by their path in the rule, as they are written in files."""
    since: Moment
    until: Moment
    phase: Literal["waiting", "running", "succeeded", "failed", "cancelled"]
    progress: Annotated[float, Field(ge=0, le=1)]
    detail: str
    """What it does, or why it failed."""
    created_at: Moment
    started_at: Moment | None = None
    ended_at: Moment | None = None


class SimulatedRun(View):
    at: Moment
    """When it is created."""
    ended_at: Moment | None
    key: str
    trigger: str
    reason: str
    detail: str
    phase: str
    attempt: int


class VariantResult(View):
    runs: int
    run_hours: float
    """Total duration of the runs that ended."""
    gpu_hours: float
    phases: dict[str, int]
    reasons: dict[str, int]
    """Number of runs by their reason."""
    held: dict[str, int]
    """Number of decisions to hold or skip, by reason, the most frequent first."""
    shown: list[SimulatedRun]
    """The first 500 runs."""


class RunDifference(View):
    at: Moment
    key: str
    run: Literal["new", "gone"]
    """Only the changed rule starts it, or only the rule as it is."""
    reason: str
    why: str
    """The last decision of the other variant before it."""


class ThresholdLine(View):
    bound: float
    clear: float
    above: bool
    """Values above the bound cross it, else those below."""


class SeriesLine(View):
    series: str
    points: list[tuple[float, float | None]]
    """Seconds since the epoch, and the value; null for no data. Thinned, so that each peak is kept."""


class MetricChart(View):
    name: str
    current: ThresholdLine
    proposed: ThresholdLine | None
    left_out: int
    """Values of series that are not drawn: only the first twelve are."""
    lines: list[SeriesLine]


class ProposedText(View):
    file: str
    yaml: str
    """The rule as an item of `rules`."""
    diff: str
    """The unified difference of the file, for a pull request."""
    problems: list[str]
    """What the validator finds wrong with it; empty if it can be used."""


class SimulationResult(View):
    played_from: Moment | None
    """Time of the first input that was played."""
    current: VariantResult
    """The rule as it is."""
    proposed: VariantResult
    """The changed rule."""
    recorded: VariantResult
    """The runs that really were created; `held` is empty."""
    differences: list[RunDifference]
    """The first 200 runs that only one variant has."""
    differences_left_out: int
    agrees: bool
    """Whether the rule as it is makes exactly the recorded runs."""
    agreement: str
    """The same as a sentence; if not, with the reasons."""
    assumptions: list[str]
    """What the simulation assumes, one sentence each."""
    events: list[int]
    """Events that match the data triggers, in equal parts of the period; empty without data triggers."""
    metrics: list[MetricChart]
    changed: ProposedText
    """The changed rule in its file."""
    shadow: ProposedText
    """A rule beside it with the changes, another name and `mode: shadow`."""


class Simulation(SimulationLine):
    result: SimulationResult | None = None
