"""Rules in lists, and how many there are of each kind."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from retrainer.api.parameters import Context, Cursor, Limit, Period, page
from retrainer.api.rule_listing import RuleQuery
from retrainer.api.sight import Sees
from retrainer.api.views import Decided, Id, Moment, Page, Phase, View
from retrainer.store.pages import PageRequest

router = APIRouter(tags=["rules"])
Mode = Literal["active", "shadow", "paused"]


class LastRun(View):
    id: Id
    phase: Phase
    ended_at: Moment | None = None


class RuleLine(View):
    name: str
    mode: Mode
    """As configured in the rule."""
    paused: bool
    """Paused manually, or by its mode."""
    description: str = ""
    labels: dict[str, str] = {}
    keys: int
    """Live keys; 0 for a rule without `for_each`."""
    verdict: str
    """Whether and why it fires, is on hold or skips, in one line."""
    decision: Decided
    reason: str
    """A word of docs/reference/reasons.md."""
    until: Moment | None = None
    """When the current reason ends, if known."""
    next_fire: Moment | None = None
    """The earliest time at which it could fire, if known."""
    late_since: Moment | None = None
    """Since when it is late: it did not succeed for two of its periods."""
    last_run: LastRun | None = None


class FacetValue(View):
    value: str
    rules: int
    """Rules that would be found with this value, and the other conditions as they are."""


class RuleFacets(View):
    total: int
    """Rules that meet all conditions."""
    needs_somebody: int
    """Those of them that are late, have no data, or are in a state that only a person ends."""
    unknown: int
    """Rules whose verdict is not known yet, for a while after a start. They are last in `order=worst`."""
    teams: list[FacetValue]
    """Values of the label `team`; the most frequent first, as in the next ones."""
    reasons: list[FacetValue]
    """Words of docs/reference/reasons.md."""
    modes: list[FacetValue]
    sources: list[FacetValue]


async def _query(
    sees: Sees,
    name: Annotated[str, Query(max_length=63, description="A part of the name")] = "",
    state: Annotated[str, Query(max_length=64, description="Mode, decision or reason, such as hold or cooldown")] = "",
    mode: Annotated[Mode | None, Query(description="paused: manually, or as configured")] = None,
    source: Annotated[str, Query(max_length=63, description="A source that the rule uses")] = "",
    label: Annotated[list[str] | None, Query(max_length=20, description="A label: `team`, or `team=fraud`")] = None,
) -> RuleQuery:
    return RuleQuery(PageRequest(), name, state, source, tuple(label or ()), sees.rules, mode or "")


Filter = Annotated[RuleQuery, Depends(_query)]


@router.get("/rules", response_model=Page[RuleLine])
def list_rules(
    api: Context,
    query: Filter,
    period: Period,
    order: Annotated[Literal["name", "worst"], Query(description="worst: what needs somebody first")] = "name",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    """Rules, each with a one-line verdict. `since` and `until`: those whose last run was created then.

    By name, a rule is on exactly one page. With `order=worst`, a cursor stands for a place in the order of now: a rule
    that gets worse between two pages may be on none of them, and one that recovers on two.
    """
    asked = PageRequest(cursor, limit, *period)
    return page(api.rules.listing.page(query.on(asked, worst_first=order == "worst")))


@router.get("/rule-facets", response_model=RuleFacets)
def count_rules(api: Context, query: Filter) -> Any:
    """How many rules meet the conditions of `GET /rules`, and how many each other team, reason, mode or source has."""
    return api.rules.listing.facets(query)
