"""Rules: their state, why they decide so, and operator commands."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query
from pydantic import Field

from retrainer.api.backfills import Withdrawn
from retrainer.api.parameters import Context, Instant, KeyOfRule, Limit, RuleName, Text, page, refusals
from retrainer.api.rule_summaries import RuleQuery
from retrainer.api.views import Moment, Open, Page, RequestBody, View
from retrainer.engine.commands import long_commands, operator_commands
from retrainer.sources.http.refusal import Refusal
from retrainer.store import queries

router = APIRouter(prefix="/rules", tags=["rules"])


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
    """When the reason may change without another input, if known."""
    earliest: Moment | None = None
    """When it could fire without another input, if known."""
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


class Question(RequestBody):
    key: str = ""
    """Key of a rule with `for_each`."""
    event: dict[str, Any] | None = None
    """An event, or only its `data`: show what each trigger does with it."""
    at: Instant | None = None
    """The time to evaluate at; now if not given."""


class Order(RequestBody):
    key: Annotated[str, Field(max_length=1024)] = ""
    """Key of a rule with `for_each`."""
    parameters: dict[str, str] = {}
    """Values that override those of the rule."""
    by: Annotated[str, Field(max_length=100)] = ""
    """Who requests it; stored with the run."""
    dry_run: bool = False
    """Only show the Workflow that would be created."""


class Note(RequestBody):
    note: Annotated[str, Field(max_length=1000)] = ""
    """The reason, shown with the paused rule."""


@router.get("", response_model=Page[RuleLine])
def list_rules(
    api: Context,
    name: Annotated[str, Query(max_length=63, description="A part of the name")] = "",
    state: Annotated[str, Query(max_length=64, description="Mode, decision or reason, such as hold or cooldown")] = "",
    source: Annotated[str, Query(max_length=63, description="A source that the rule uses")] = "",
    label: Annotated[list[str] | None, Query(max_length=20, description="A label: `team`, or `team=fraud`")] = None,
    cursor: Text = None,
    limit: Limit = 50,
) -> Any:
    """Rules by name, each with a one-line verdict."""
    return page(api.rules.page(RuleQuery(limit, cursor or "", name, state, source, tuple(label or ()))))


@router.get("/{rule}", response_model=RuleDetail)
def show_rule(api: Context, rule: RuleName) -> Any:
    """One rule, and its configuration."""
    with refusals():
        return api.rules.detail(rule)


@router.get("/{rule}/keys", response_model=Page[Key])
def list_keys(api: Context, rule: RuleName, cursor: Text = None, limit: Limit = 50) -> Any:
    """The live keys of a rule with `for_each`."""
    if rule not in api.engine.catalog.rules:
        raise Refusal(404, f"there is no rule {rule!r}")
    return page(api.read(queries.states, rule, after=cursor, limit=limit))


@router.post("/{rule}/explain", response_model=Explanation)
def explain(api: Context, rule: RuleName, question: Annotated[Question, Body(default_factory=Question)]) -> Any:
    """Why the rule would fire or not, as a line and as a tree of current values."""
    at = question.at.timestamp() if question.at is not None else None
    with refusals(422):
        return api.rules.explain(rule, question.key, question.event, at)


@router.post("/{rule}/trigger", response_model=Triggered)
def trigger(
    api: Context,
    rule: RuleName,
    order: Annotated[Order, Body(default_factory=Order)],
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Any:
    """Request a manual run. It waits if a limit blocks it. The same Idempotency-Key returns the same answer again."""
    with refusals(422):
        if order.dry_run:
            run = api.act(operator_commands.preview, rule, order.key, order.parameters)
            return {"decision": "fire", "reason": "manual", "run": None, "manifest": api.workflow_of(run)}
        return api.act(operator_commands.trigger, rule, order.key, order.parameters, idempotency_key, order.by)


@router.delete("/{rule}/trigger", response_model=Withdrawn)
def withdraw_triggers(api: Context, rule: RuleName, key: KeyOfRule = "") -> Any:
    """Withdraw manual runs that have not started. Runs that have started continue."""
    with refusals():
        return long_commands.withdraw(api.act, rule, key, manual=True)


@router.post("/{rule}/pause", response_model=Paused)
def pause(api: Context, rule: RuleName, note: Annotated[Note, Body(default_factory=Note)]) -> Any:
    """Pause a rule until it is resumed. Its schedules and data are still recorded."""
    with refusals():
        api.act(operator_commands.pause, rule, note.note)
    return {"rule": rule, "paused": True}


@router.post("/{rule}/resume", response_model=Paused)
def resume(api: Context, rule: RuleName) -> Any:
    """End a manual pause, and close the rule's circuit breakers."""
    with refusals():
        api.act(operator_commands.resume, rule)
    return {"rule": rule, "paused": False}
