"""Rules: their state, why they decide so, and operator commands."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import ConfigDict, Field

from retrainer.api.acting import Acts
from retrainer.api.backfills import Withdrawn
from retrainer.api.description import problems
from retrainer.api.external import page_of
from retrainer.api.links import OutwardLink, links_of_rule
from retrainer.api.parameters import (
    Context,
    IdempotencyKey,
    Instant,
    KeyOfRule,
    RuleName,
    refusals,
)
from retrainer.api.rule_lists import RuleLine
from retrainer.api.views import (
    PRINTABLE,
    Decided,
    Id,
    Json,
    KeyText,
    Moment,
    NotGiven,
    ParameterValues,
    RequestBody,
    View,
    words,
)
from retrainer.engine.commands import long_commands, operator_commands
from retrainer.rules.outcome import Kind
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.timefmt import rfc3339

router = APIRouter(prefix="/rules", tags=["rules"])


class RuleDetail(RuleLine):
    configuration: Json
    """The rule in force, as in its file; durations in seconds, sizes in bytes."""
    links: list[OutwardLink]
    """To other pages, by `links` of the settings."""
    explanation: "Explanation"
    """What `POST /rules/{rule}/explain` answers for this key now."""


class Measured(View):
    """A live value beside the limit that it is compared with."""

    value: float
    limit: float
    side: Literal["at_least", "above", "below"]
    """What satisfies the trigger or reaches the limit."""
    unit: Literal["", "events", "bytes", "rows", "failures", "seconds"]
    clear: float | None = None
    """The value at which a crossed series comes back."""


class Node(View):
    """A condition, a limit or a state, with its current values."""

    name: str
    measure: Measured | None = NotGiven
    state: str = ""
    """A word or a value."""
    detail: str = ""
    children: list["Node"] = []


class Condition(View):
    name: str
    """`source`, a field of the event, `where`, or `own output`."""
    expected: Any
    """The value that the rule names."""
    holds: bool
    said: str | None = NotGiven
    """Why the event is the rule's own output."""
    error: str | None = NotGiven
    """Why the condition could not be evaluated."""


class TriggerAnswer(View):
    """What one trigger does with an event."""

    trigger: str
    conditions: list[Condition]
    matches: bool
    """Whether all conditions hold."""
    key: str | None = NotGiven
    """Of a data trigger: the key that the event counts for, as do the next two."""
    bytes: int | None = NotGiven
    rows: int | None = NotGiven
    series: str | None = NotGiven
    """Of a metric or alert trigger: the series that the event is a value of."""
    value: float | None = NotGiven
    error: str | None = NotGiven
    """Why the event cannot be counted."""


class Explanation(View):
    rule: str
    key: str
    verdict: str
    decision: Annotated[str, words([*Kind, "unknown"], "unknown: nothing is stored for that time")]
    reason: str
    """A word of docs/reference/reasons.md."""
    since: Moment | None = None
    """Since when it is so, by the kept decisions, if known."""
    until: Moment | None = None
    """When the reason may change without another input, if known."""
    earliest: Moment | None = None
    """When it could fire without another input, if known."""
    tree: list[Node] = []
    page: str
    """Address of the rule's page at that time. It begins with `http.external_url`; without it, with `/ui/`."""
    event: list[TriggerAnswer] | None = None
    """What each data trigger does with the given event, condition by condition."""


class CreatedRun(View):
    id: Id
    workflow: str
    """Name of its Workflow."""
    parameters: dict[str, str]


class Triggered(View):
    decision: Decided
    reason: str
    """A word of docs/reference/reasons.md."""
    detail: str = ""
    run: CreatedRun | None = None
    """The run that was created, if any."""
    request: Id | None = None
    """Id of the request; null with `dry_run`."""
    manifest: Json | None = None
    """With `dry_run`: the Workflow that would be created."""
    page: str
    """Address of the run's page, or of the rule's if there is no run yet. See `Explanation.page`."""


class Paused(View):
    rule: str
    paused: bool


class ExplainRequest(RequestBody):
    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "de", "at": "2026-11-24T08:00:00Z"}]})

    key: KeyText = ""
    """Key of a rule with `for_each`."""
    event: Json | None = None
    """An event, or only its `data`: show what each trigger does with it."""
    at: Instant | None = None
    """The time to evaluate at; now if not given."""


class TriggerRequest(RequestBody):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key": "de", "parameters": {"epochs": "3"}, "by": "anna", "dry_run": True}]}
    )

    key: KeyText = ""
    """Key of a rule with `for_each`."""
    parameters: ParameterValues = {}
    """Values that override those of the rule."""
    by: Annotated[str, Field(max_length=100, pattern=PRINTABLE)] = ""
    """Who requests it; stored with the run."""
    dry_run: bool = False
    """Only show the Workflow that would be created."""


class PauseRequest(RequestBody):
    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "incident 7"}]})

    note: Annotated[str, Field(max_length=1000, pattern=PRINTABLE)] = ""
    """The reason, shown with the paused rule."""


@router.get("/{rule}", response_model=RuleDetail, responses=problems(404))
def show_rule(api: Context, rule: RuleName, key: KeyOfRule = "") -> Any:
    """One rule, its configuration, and why it would fire or not. `key`: for the explanation and the links."""
    with refusals():
        found = api.rules.detail(rule, key)
    namespace = found["configuration"].get("submit", {}).get("namespace") or api.namespace
    explanation = {**found["explanation"], "page": page_of(api.settings.http, "rules", rule, key=key)}
    return {**found, "explanation": explanation, "links": links_of_rule(api.settings.links, rule, key, namespace)}


@router.post("/{rule}/explain", response_model=Explanation, responses=problems(404, 409))
def explain_rule(
    api: Context, rule: RuleName, question: Annotated[ExplainRequest, Body(default_factory=ExplainRequest)]
) -> Any:
    """Why the rule would fire or not, as a line and as a tree of current values."""
    at = question.at.timestamp() if question.at is not None else None
    with refusals():
        found = api.rules.explain(rule, question.key, question.event, at)
    moment = rfc3339(at) if at is not None else ""
    return {**found, "page": page_of(api.settings.http, "rules", rule, key=question.key, at=moment)}


@router.post("/{rule}/trigger", response_model=Triggered, responses=problems(404, 409))
def trigger_rule(
    api: Context,
    acts: Acts,
    rule: RuleName,
    order: Annotated[TriggerRequest, Body(default_factory=TriggerRequest)],
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Request a manual run. It waits if a limit blocks it. The same Idempotency-Key returns the same answer again."""
    act = acts.on("trigger", order.by, rule=rule, key=order.key, dry_run=order.dry_run)
    with refusals():
        if order.dry_run:
            run = act(operator_commands.preview, rule, order.key, order.parameters)
            made: dict[str, Any] = {
                "decision": "fire",
                "reason": "manual",
                "run": None,
                "manifest": api.workflow_of(run),
            }
        else:
            by = acts.named(order.by)
            made = act(operator_commands.trigger, rule, order.key, order.parameters, idempotency_key, by)
    place = ("runs", made["run"]["id"]) if made["run"] else ("rules", rule)
    return {**made, "page": page_of(api.settings.http, *place)}


@router.delete("/{rule}/trigger", response_model=Withdrawn, responses=problems(404, 409))
def withdraw_triggers(acts: Acts, rule: RuleName, key: KeyOfRule = "") -> Any:
    """Withdraw manual runs that have not started. Runs that have started continue."""
    with refusals():
        return long_commands.withdraw(acts.on("withdraw_triggers", rule=rule, key=key), rule, key, manual=True)


@router.post("/{rule}/pause", response_model=Paused, responses=problems(404))
def pause_rule(acts: Acts, rule: RuleName, note: Annotated[PauseRequest, Body(default_factory=PauseRequest)]) -> Any:
    """Pause a rule until it is resumed. Its schedules and data are still recorded."""
    with refusals():
        why = SECRETS.mask(note.note)
        acts.on("pause", rule=rule, detail=why)(operator_commands.pause, rule, why)
    return {"rule": rule, "paused": True}


@router.post("/{rule}/resume", response_model=Paused, responses=problems(404))
def resume_rule(acts: Acts, rule: RuleName) -> Any:
    """End a manual pause, and close the rule's circuit breakers."""
    with refusals():
        acts.on("resume", rule=rule)(operator_commands.resume, rule)
    return {"rule": rule, "paused": False}
