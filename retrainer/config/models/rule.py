"""A rule: triggers, how they combine, limits, and the run to start."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from retrainer.config.models.base import (
    MOST,
    Between,
    Cel,
    Count,
    Duration,
    Factor,
    Hours,
    Identifier,
    Model,
    Name,
    Phase,
)
from retrainer.config.models.sources import Source
from retrainer.config.models.triggers import Calendar, Trigger


class Several(Model):
    n: Count
    """How many of them."""
    of: Annotated[list[Condition], Field(min_length=1)]
    """Names of triggers, or groups."""


class Group(Model):
    """Exactly one of `any`, `all` and `at_least`."""

    any: Annotated[list[Condition], Field(min_length=1)] | None = None
    """One of these is enough: names of triggers, or groups."""
    all: Annotated[list[Condition], Field(min_length=1)] | None = None
    """All of these are needed."""
    at_least: Several | None = None
    """At least this many of these are needed."""
    within: Duration | None = None
    """A schedule or after trigger counts in this group only for this long after it was satisfied, a data trigger for
    this long after its last event. A group inside another one obeys the shorter of both."""


Condition = str | Group
Slots = Annotated[int, Field(ge=0, le=MOST)]
"""Number of slots of a pool."""


class ForEach(Model):
    by: dict[str, Cel]
    """For each data, metric or alert trigger: CEL over `event` that gives the key. The labels of a series of a query
    are in `event.data.labels`. Every data trigger must be listed. A metric or alert that is not listed applies
    to every known key."""
    max_keys: Annotated[int, Field(ge=1, le=1_000_000)] = 10000
    """Maximum number of keys of the rule. Events with another key become dead letters."""
    forget_after: Duration = 7776000.0
    """A key without events or runs for this long is removed."""


class Cooldown(Model):
    period: Duration
    """Length of the cooldown."""
    from_: Annotated[Literal["fired", "completed", "succeeded"], Field(alias="from")] = "completed"
    """What the cooldown is counted from: the creation of the last run, its end, or the end of the last run that
    succeeded."""


class Budget(Model):
    runs: Count | None = None
    """At most this many runs; each attempt counts."""
    gpu_hours: Annotated[Hours, Field(gt=0)] | None = None
    """At most this many GPU hours."""
    per: Duration
    """Within any period of this length."""
    reserve: Annotated[Hours, Field(ge=0)] | None = None
    """GPU hours to reserve for a run that has not ended. Default: the mean of the last ten runs of the rule."""


class Limits(Model):
    overlap: Literal["skip", "buffer_one", "allow_all", "cancel_other", "terminate_other"] = "buffer_one"
    """What to do when a run of the same key is still active."""
    max_active: Annotated[int, Field(ge=1, le=10000)] = 1000
    """With `allow_all`: at most this many active runs of a key. Further input waits and joins the next run."""
    cooldown: Cooldown | None = None
    """Pause between runs of a key."""
    budget: Budget | str | None = None
    """What all keys of the rule may use together; or the name of a budget that several rules share."""
    mute: list[str] = []
    """Calendars during which no run starts."""
    pool: str | None = None
    """Pool in which each run of the rule needs a slot."""
    priority: Annotated[int, Field(ge=-MOST, le=MOST)] = 0
    """Order in a pool: runs with a higher priority start first."""
    pause_after_failures: Count | None = None
    """Circuit breaker: after this many failed runs in a row (with their retries) the key is held until the rule is
    resumed."""
    deadline: Duration | None = None
    """A due rule that could not start a run within this time stops being due. Its data stays."""


class Backoff(Model):
    duration: Duration = 60.0
    """Wait before the first retry."""
    factor: Factor = 2.0
    """Each further wait is longer by this factor."""
    max_duration: Duration = 3600.0
    """Maximum wait."""


class Retry(Model):
    limit: Annotated[int, Field(ge=0, le=100)]
    """Maximum number of retries after the first attempt."""
    phases: list[Phase] = ["FAILED", "ERROR"]
    """Phases that are retried."""
    backoff: Backoff = Backoff()
    """How long to wait before a retry."""


class Output(Model):
    parameter: str
    """Name of the workflow's output parameter."""
    type: Literal["number", "boolean", "string"] = "number"
    """Numbers and booleans are exported as gauges."""
    help: str = ""
    """What it means; the help text of the gauge."""


class Metadata(Model):
    labels: dict[str, str] = {}
    """Labels of the Workflow. None under retrainer.dev, and under workflows.argoproj.io those that are for people
    (`archive-strategy`, `title`, `description`, `pod-name-format`, `version`)."""
    annotations: dict[str, str] = {}
    """Annotations of the Workflow."""


class Submit(Model):
    workflow_template: str | None = None
    """Name of the WorkflowTemplate to run. Exactly one of this, `cluster_workflow_template` and `workflow`."""
    cluster_workflow_template: str | None = None
    """Name of the ClusterWorkflowTemplate to run."""
    workflow: dict[str, Any] | None = None
    """A complete Workflow manifest, inline: its `spec`, and labels and annotations of its `metadata`."""
    namespace: str | None = None
    """Namespace of the Workflow. Default: the first of `engine.namespaces` in the settings."""
    parameters: dict[str, str | int | float | bool] = {}
    """Arguments. Strings may hold `${CEL}` over rule, key, trigger, window, events, run, previous,
    upstream and champion."""
    metadata: Metadata = Metadata()
    """Labels and annotations of the Workflow."""
    timeout: Annotated[Duration, Between("1s", "")] | None = None
    """activeDeadlineSeconds of the Workflow."""
    retry: Retry | None = None
    """Retries a failed run with the same inputs and parameters."""
    inputs_on_failure: Literal["return", "keep"] = "return"
    """`return` returns the inputs of a run that did not succeed to the next window; `keep` does not."""
    outputs: dict[Identifier, Output] = {}
    """Output parameters kept with the run and exported as gauges."""


class Cost(Model):
    gpu_hours: Cel
    """CEL over `outputs`: GPU hours of a run, where the Workflow's own pods do not do the work."""


class CooldownBackoff(Model):
    factor: Factor = 2.0
    """Each run in a row that was not promoted makes the cooldown longer by this factor."""
    max: Duration = 604800.0
    """Maximum cooldown."""


class Feedback(Model):
    promoted: Cel | None = None
    """CEL over `outputs`, true if the model was promoted. Without it, the result is reported later
    (`POST /api/v1/runs/{run}/feedback`)."""
    backoff: CooldownBackoff | None = None
    """Makes the cooldown longer after runs that were not promoted."""


class Rule(Model):
    name: Name
    """Unique name; part of each run's name (cut to 36 characters)."""
    description: str = ""
    """What the rule is for."""
    labels: dict[str, str] = {}
    """On `retrainer_rule_info`, in alerts and on Workflows."""
    mode: Literal["active", "shadow", "paused"] = "active"
    """`shadow` decides and records, but submits nothing. `paused` holds the rule."""
    triggers: Annotated[dict[Identifier, Trigger], Field(min_length=1)]
    """Named triggers."""
    when: Group | None = None
    """How triggers combine. Default: any one of them makes the rule due."""
    unless: list[str] = []
    """Triggers that hold the rule while they are satisfied. They never start it."""
    for_each: ForEach | None = None
    """Gives the rule a separate state for each key."""
    limits: Limits = Limits()
    """What can delay or prevent a run of a due rule."""
    submit: Submit
    """The run to start."""
    cost: Cost | None = None
    """What a run costs, if the Workflow does not show it."""
    feedback: Feedback | None = None
    """Whether the model was promoted."""


class Rules(Model):
    """One file, or all files together, after `defaults` and `templates` were merged."""

    version: Literal[1]
    """Version of the format."""
    sources: dict[Name, Source] = {}
    """Where events come from."""
    calendars: dict[Identifier, Calendar] = {}
    """Named calendars."""
    pools: dict[Identifier, Slots] = {}
    """Named pools: the maximum number of active runs, over all rules of the pool."""
    budgets: dict[Identifier, Budget] = {}
    """Named budgets that several rules share."""
    rules: list[Rule] = []
    """The rules."""
