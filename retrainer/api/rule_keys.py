"""The keys of rules, and the data that is pending for them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from retrainer.api.description import problems
from retrainer.api.ledger import Event
from retrainer.api.parameters import Context, Cursor, KeyOfRule, Limit, Number, Period, RuleName, page, refusals
from retrainer.api.rule_lists import LastRun
from retrainer.api.sight import Sees
from retrainer.api.views import PRINTABLE, Decided, Moment, Page, View
from retrainer.store.pages import Page as Rows
from retrainer.store.pages import PageRequest

router = APIRouter(prefix="/rules", tags=["rules"])


class Key(View):
    key: str
    verdict: str
    """Whether and why the rule fires for this key, is on hold or skips, in one line."""
    decision: Decided
    reason: str
    """A word of docs/reference/reasons.md."""
    until: Moment | None = None
    """When the reason may change without another input, if known."""
    pending_events: int
    pending_since: Moment | None = None
    """When the oldest pending event arrived."""
    last_run: LastRun | None = None
    wake_at: Moment | None = None
    """When the engine evaluates it again without new input."""
    touched_at: Moment


class PendingTrigger(View):
    trigger: str
    source: str
    complete: bool
    """Whether the batch is complete."""
    reason: str
    """A word of docs/reference/reasons.md."""
    detail: str
    """What it waits for, or what completed it."""
    until: Moment | None = None
    """When the batch is complete without further data, if it will be."""
    events: int
    bytes: int
    rows: int
    oldest_at: Moment | None = None
    """When the oldest of the data arrived."""
    newest_at: Moment | None = None


class Pending(View):
    rule: str
    key: str
    events: int
    """Events that no run has taken, of all triggers; each counts once."""
    triggers: list[PendingTrigger]
    """The data triggers."""


@router.get("/{rule}/keys", response_model=Page[Key], responses=problems(404))
def list_keys(
    api: Context,
    period: Period,
    rule: RuleName,
    prefix: Annotated[str, Query(max_length=1024, pattern=PRINTABLE, description="How the key begins")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    """The live keys of a rule with `for_each`, by key, at most 100 at once.

    `since` and `until`: those that last changed then.
    """
    with refusals():
        return page(api.rules.keys.page(rule, PageRequest(cursor, limit, *period), prefix))


@router.get("/{rule}/pending", response_model=Pending, responses=problems(404))
def show_pending(api: Context, rule: RuleName, key: KeyOfRule = "") -> Any:
    """What has arrived for a rule and key and no run has taken, and what it waits for."""
    with refusals():
        return api.rules.keys.pending(rule, key)


@router.get("/{rule}/pending/events", response_model=Page[Event], responses=problems(404))
def list_pending_events(
    api: Context,
    sees: Sees,
    period: Period,
    rule: RuleName,
    key: KeyOfRule = "",
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """The pending events of a rule and key, oldest first. Pruned ones are left out."""
    with refusals():
        found = api.rules.keys.pending_events(rule, key, PageRequest(cursor, limit, *period))
    return page(Rows(list(map(sees.event, found.items)), found.next))
