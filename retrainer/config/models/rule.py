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
    """So many of these are needed."""
    within: Duration | None = None
    """A schedule, data or after trigger counts in this group only for so long since it was satisfied."""


Condition = str | Group
Slots = Annotated[int, Field(ge=0, le=MOST)]
"""Of a pool."""


class ForEach(Model):
    by: dict[str, Cel]
    """For each data, metric or alert trigger, CEL over `event` that gives the key; the labels of a query's series are
    in `event.data.labels`. A trigger without a line here speaks for every key, where it can."""
    max_keys: Annotated[int, Field(ge=1, le=1_000_000)] = 10000
    """Events of further keys go to the dead letters."""
    forget_after: Duration = 7776000.0
    """A key without events or runs for this long is forgotten."""


class Cooldown(Model):
    period: Duration
    """How long the rule rests."""
    from_: Annotated[Literal["fired", "completed", "succeeded"], Field(alias="from")] = "completed"
    """What the rest is counted from."""


class Budget(Model):
    runs: Count | None = None
    """So many runs, each attempt counted."""
    gpu_hours: Annotated[Hours, Field(gt=0)] | None = None
    """So many GPU hours."""
    per: Duration
    """Within any stretch of this length."""
    reserve: Annotated[Hours, Field(ge=0)] | None = None
    """GPU hours to keep for a run that has not ended; the mean of the rule's last ten runs if not given."""


class Limits(Model):
    overlap: Literal["skip", "buffer_one", "allow_all", "cancel_other", "terminate_other"] = "buffer_one"
    """What to do when a run of the same key is still on its way."""
    max_active: Annotated[int, Field(ge=1, le=10000)] = 1000
    """With `allow_all`: so many runs of a key at once; further input waits and joins the next."""
    cooldown: Cooldown | None = None
    """Rest between runs."""
    budget: Budget | str | None = None
    """What the rule may spend, over all its keys; or the name of a budget that it shares with others."""
    mute: list[str] = []
    """Calendars during which no run starts."""
    pool: str | None = None
    """Pool whose slots the rule's runs wait for."""
    priority: Annotated[int, Field(ge=-MOST, le=MOST)] = 0
    """Higher goes first in a pool."""
    pause_after_failures: Count | None = None
    """Circuit breaker: so many failed chains in a row hold the key until someone resumes the rule."""
    deadline: Duration | None = None
    """A due rule that no run could start for within this long is given up (its data stays)."""


class Backoff(Model):
    duration: Duration = 60.0
    """Wait before the first retry."""
    factor: Factor = 2.0
    """Each further wait is so much longer."""
    max_duration: Duration = 3600.0
    """And never longer than this."""


class Retry(Model):
    limit: Annotated[int, Field(ge=0, le=100)]
    """So many retries after the first attempt."""
    phases: list[Phase] = ["FAILED", "ERROR"]
    """Ends that are retried."""
    backoff: Backoff = Backoff()
    """How long to wait."""


class Output(Model):
    parameter: str
    """Name of the workflow's output parameter."""
    type: Literal["number", "boolean", "string"] = "number"
    """Numbers and booleans are exported as gauges."""
    help: str = ""
    """What it means; shown beside the gauge."""


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
    """A whole Workflow manifest, inline: its `spec`, and of its `metadata` labels and annotations."""
    namespace: str | None = None
    """Namespace of the Workflow; the daemon's own `namespace` setting if not given."""
    parameters: dict[str, str | int | float | bool] = {}
    """Arguments. Strings may hold `${CEL}` over rule, key, trigger, window, events, run, previous,
    upstream and champion."""
    metadata: Metadata = Metadata()
    """Labels and annotations of the Workflow."""
    timeout: Annotated[Duration, Between("1s", "")] | None = None
    """activeDeadlineSeconds of the Workflow."""
    retry: Retry | None = None
    """Runs again what failed, with the same inputs and parameters."""
    consume: Literal["succeeded", "fired"] = "succeeded"
    """`succeeded` gives the inputs of any other end back to the next window; `fired` never does."""
    outputs: dict[Identifier, Output] = {}
    """Output parameters kept with the run and exported as gauges."""


class Cost(Model):
    gpu_hours: Cel
    """CEL over `outputs`: GPU hours of a run, where the Workflow's own pods do not do the work."""


class Stretch(Model):
    factor: Factor = 2.0
    """Each run in a row that was not promoted makes the cooldown so much longer."""
    max: Duration = 604800.0
    """And never longer than this."""


class Feedback(Model):
    promoted: Cel | None = None
    """CEL over `outputs`, true if the model was promoted; without it somebody says so later
    (`POST /api/v1/runs/{run}/feedback`)."""
    backoff: Stretch | None = None
    """Runs that are not promoted stretch the cooldown."""


class Rule(Model):
    name: Name
    """Unique name; part of each run's name (cut to 36 characters)."""
    description: str = ""
    """What the rule is for."""
    labels: dict[str, str] = {}
    """On `retrainer_rule_info`, in alerts and on Workflows."""
    mode: Literal["active", "shadow", "paused"] = "active"
    """`shadow` decides and records but submits nothing; `paused` holds."""
    triggers: Annotated[dict[Identifier, Trigger], Field(min_length=1)]
    """Named conditions."""
    when: Group | None = None
    """How they combine; any of them makes the rule due if not given."""
    unless: list[str] = []
    """Triggers that hold the rule back while they are satisfied, and never start it."""
    for_each: ForEach | None = None
    """Splits the rule by a key, each with a state of its own."""
    limits: Limits = Limits()
    """What holds a due rule back."""
    submit: Submit
    """The run to start."""
    cost: Cost | None = None
    """What a run costs, if the Workflow does not tell."""
    feedback: Feedback | None = None
    """What became of the model."""


class Rules(Model):
    """One file, or all of them together, after `defaults` and `templates` were worked in."""

    version: Literal[1]
    """Version of the format."""
    sources: dict[Name, Source] = {}
    """Where events come from."""
    calendars: dict[Identifier, Calendar] = {}
    """Named stretches of time."""
    pools: dict[Identifier, Slots] = {}
    """Slots over all rules."""
    budgets: dict[Identifier, Budget] = {}
    """What rules that name it may spend together."""
    rules: list[Rule] = []
    """The rules."""
