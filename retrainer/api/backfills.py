"""Backfills: runs for past slots of a rule's schedules, on request."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from retrainer.api.acting import Acts
from retrainer.api.description import problems
from retrainer.api.parameters import (
    DAY,
    MOMENT,
    Context,
    IdempotencyKey,
    KeyOfRule,
    RuleName,
    Text,
    readable,
    refusals,
    shapes,
)
from retrainer.api.views import PRINTABLE, Id, KeyText, Moment, ParameterValues, Phase, RequestBody, View
from retrainer.engine.commands import long_commands
from retrainer.engine.schedules import backfills
from retrainer.engine.schedules.backfills import BackfillOrder
from retrainer.rules.backfill import moment_in
from retrainer.rules.explain_tree import waiting_requests
from retrainer.sources.http.refusal import Refusal
from retrainer.store import statements

router = APIRouter(prefix="/rules", tags=["rules"])


_FAR = 100 * 365 * 86400.0
"""A time, for reading durations before it: none is longer."""
_DAYS = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
_LOCAL = {"type": "string", "pattern": f"^(19[7-9][0-9]|2[01][0-9]{{2}})-({_DAYS})T([01][0-9]|2[0-3]):[0-5][0-9]$"}
SlotTime = Annotated[
    str, Field(max_length=64), readable(partial(moment_in, zone="UTC", now=_FAR)), shapes(MOMENT, DAY, _LOCAL)
]


class BackfillRequest(RequestBody):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"from": "2026-11-01", "to": "2026-11-08", "key": "de", "dry_run": True}]}
    )

    from_: Annotated[SlotTime, Field(alias="from")]
    """Slots from here on: a date or a time in the schedule's zone, RFC 3339, or a duration before now."""
    to: SlotTime | None = None
    """Slots before this time; now if not given. At most 1,000 slots may lie between."""
    trigger: Annotated[str | None, Field(max_length=63)] = None
    """Only slots of this schedule; of all schedules of the rule if not given."""
    key: KeyText = ""
    """Key of a rule with `for_each`."""
    parameters: ParameterValues = {}
    """Values that override those of the rule."""
    rerun: bool = False
    """Include slots that ran already."""
    by: Annotated[str, Field(max_length=100, pattern=PRINTABLE)] = ""
    """Who requests it; stored with the runs."""
    dry_run: bool = False
    """Only show what would run."""


class PlannedSlot(View):
    trigger: str
    slot: Moment
    runs: bool
    """Whether it will run."""
    why: str
    run: Id | None = None
    """The run that the slot had before."""


class HeldBy(View):
    reason: str
    detail: str
    until: Moment | None = None


class Backfill(View):
    rule: str
    key: str
    request: Id | None = None
    """Id of the request; null with `dry_run`."""
    count: int
    """Number of slots that will run."""
    slots: list[PlannedSlot]
    gpu_hours: float | None = None
    """Estimated total cost, if earlier runs reported theirs."""
    run_seconds: float | None = None
    """Duration of recent runs."""
    last_start: Moment | None = None
    """When the last of them may start, if that can be estimated."""
    note: str
    """What the estimate leaves out, or why there is none."""
    held: HeldBy | None = None
    """What blocks the rule now."""


class SlotStanding(View):
    trigger: str
    slot: Moment
    state: Literal["waiting", "running", "succeeded", "failed", "cancelled", "dropped"]
    """`dropped`: it never had a run, because it was withdrawn, or its parameters could not be rendered."""
    run: Id | None = None
    phase: Phase | None = None


class Progress(View):
    rule: str
    key: str
    request: Id
    asked_at: Moment
    by: str
    total: int
    waiting: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    dropped: int
    ended: bool
    """No slot waits or runs any more."""
    slots: list[SlotStanding]


class Requests(View):
    rule: str
    key: str
    waiting: str
    """The manual runs and slots of backfills that have not started, in words; empty if there are none."""
    manual: int
    """Manual runs of them."""
    backfill: Progress | None
    """The last backfill of the key; null if there was none, or it was pruned."""


class Withdrawn(View):
    rule: str
    key: str
    dropped: int
    """Slots, or manual runs, that waited."""
    cancelled: int
    """Runs that waited for admission."""


@router.post("/{rule}/backfills", response_model=Backfill, responses=problems(404, 409))
def request_backfill(
    acts: Acts,
    rule: RuleName,
    wanted: BackfillRequest,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Request runs for past slots. The same Idempotency-Key returns the same answer, and starts nothing twice."""
    period = (wanted.from_, wanted.to, wanted.trigger)
    order = BackfillOrder(rule, wanted.key, *period, wanted.parameters, wanted.rerun, acts.named(wanted.by))
    slots = f"slots from {wanted.from_} to {wanted.to or 'now'}"
    act = acts.on("backfill", wanted.by, rule=rule, key=wanted.key, dry_run=wanted.dry_run, detail=slots)
    with refusals():
        if wanted.dry_run:
            return act(backfills.preview, order)
        return act(backfills.ask, order, idempotency_key)


@router.get("/{rule}/backfills", response_model=Progress, responses=problems(404, 409))
def show_backfill(api: Context, rule: RuleName, key: KeyOfRule = "", request: Text = None) -> Any:
    """Progress of a backfill; without `request`, of the last one of the rule and key."""
    with refusals():
        return api.read(backfills.progress, rule, key, request)


@router.get("/{rule}/requests", response_model=Requests, responses=problems(404))
def show_requests(api: Context, rule: RuleName, key: KeyOfRule = "") -> Any:
    """What was requested for a rule and key and waits, and the last backfill."""
    if rule not in api.engine.catalog.rules:
        raise Refusal(404, f"there is no rule {rule!r}")
    state = api.read(statements.state_of, rule, key)
    try:
        backfill = api.read(backfills.progress, rule, key)
    except LookupError:
        backfill = None
    return {
        "rule": rule,
        "key": key,
        "waiting": waiting_requests(state) if state is not None else "",
        "manual": sum(not asked.backfill for asked in state.asked) if state is not None else 0,
        "backfill": backfill,
    }


@router.delete("/{rule}/backfills", response_model=Withdrawn, responses=problems(404, 409))
def withdraw_backfills(acts: Acts, rule: RuleName, key: KeyOfRule = "") -> Any:
    """Withdraw all backfills of the rule and key. Runs that have started continue."""
    with refusals():
        return long_commands.withdraw(acts.on("withdraw_backfills", rule=rule, key=key), rule, key)
