"""Backfills: slots of a rule's schedules that somebody asks for."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field

from retrainer.api.parameters import Asked, RuleName, Text, refusals
from retrainer.api.views import Moment, View
from retrainer.engine.schedules.backfills import Order

router = APIRouter(prefix="/rules", tags=["rules"])
Key = Annotated[str, Query(max_length=1024, description="Key of a rule with `for_each`")]


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    from_: Annotated[str, Field(alias="from", max_length=64)]
    """Slots from then on: a date or a time of the schedule's zone, RFC 3339, or a duration back from now."""
    to: Annotated[str | None, Field(max_length=64)] = None
    """Up to before then; now if not given. At most 1,000 slots may lie between."""
    trigger: Annotated[str | None, Field(max_length=63)] = None
    """Only of this schedule; of all that the rule has if not given."""
    key: Annotated[str, Field(max_length=1024)] = ""
    """Key of a rule with `for_each`."""
    parameters: dict[str, str] = {}
    """Values over those that the rule gives."""
    rerun: bool = False
    """Also slots that ran already."""
    by: Annotated[str, Field(max_length=100)] = ""
    """Who asks; it is kept with the runs."""
    dry_run: bool = False
    """Only say what would come of it."""


class PlannedSlot(View):
    trigger: str
    slot: Moment
    runs: bool
    """Whether it will run."""
    why: str
    run: str | None = None
    """The run that it had."""


class Held(View):
    reason: str
    detail: str
    until: Moment | None = None


class Backfill(View):
    rule: str
    key: str
    request: str | None = None
    """Its name; none with `dry_run`."""
    count: int
    """How many slots will run."""
    slots: list[PlannedSlot]
    gpu_hours: float | None = None
    """What they will cost together, if runs said what they cost."""
    run_seconds: float | None = None
    """How long the last runs took."""
    last_start: Moment | None = None
    """When the last of them may start, if that can be told."""
    note: str
    """What that leaves out, or why it cannot be told."""
    held: Held | None = None
    """What holds the rule back now."""


class SlotStanding(View):
    trigger: str
    slot: Moment
    state: Literal["waiting", "running", "succeeded", "failed", "cancelled", "dropped"]
    """`dropped`: it never had a run, as it was withdrawn, or its parameters could not be rendered."""
    run: str | None = None
    phase: str | None = None


class Progress(View):
    rule: str
    key: str
    request: str
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
    """Nothing of it waits or runs."""
    slots: list[SlotStanding]


class Withdrawn(View):
    rule: str
    key: str
    dropped: int
    """Slots, or runs by hand, that waited."""
    cancelled: int
    """Runs that waited to be admitted."""


@router.post("/{rule}/backfills", response_model=Backfill)
def backfill(
    service: Asked,
    rule: RuleName,
    wanted: Wanted,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Any:
    """Ask for slots of the past. The same Idempotency-Key gives the same answer again, and starts nothing twice."""
    period = (wanted.from_, wanted.to, wanted.trigger)
    order = Order(rule, wanted.key, *period, wanted.parameters, wanted.rerun, wanted.by)
    with refusals(422):
        return service.backfill(order, dry_run=wanted.dry_run, idempotency_key=idempotency_key)


@router.get("/{rule}/backfills", response_model=Progress)
def show_backfill(service: Asked, rule: RuleName, key: Key = "", request: Text = None) -> Any:
    """How far a backfill is: the last one of the rule and key, if none is named."""
    with refusals():
        return service.backfill_progress(rule, key, request)


@router.delete("/{rule}/backfills", response_model=Withdrawn)
def withdraw_backfills(service: Asked, rule: RuleName, key: Key = "") -> Any:
    """Drop what has not started of all backfills of the rule and key. What runs goes on."""
    with refusals():
        return service.withdraw_backfills(rule, key)
