"""The state of everything in one answer, for the first screen of the page."""

from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter
from starlette.requests import Request

from retrainer.api.needs import Kind
from retrainer.api.runs import Run
from retrainer.api.sight import Sees
from retrainer.api.views import Decided, Id, Moment, NotGiven, View, words

router = APIRouter(tags=["daemon"])


class OverviewHealth(View):
    instance: str
    role: Literal["leader", "standby", "no_leader"]
    """`no_leader`: this replica is a standby, and no replica decides."""
    leader: str
    """URL of the leader, if this replica is a standby."""
    ready: bool
    reasons: list[str]
    """Why it is not ready."""
    store: str
    """Why the store cannot be read; empty if it can. What is counted in the store is missing meanwhile."""
    lag_seconds: float
    """For how long the evaluation that is due longest has been due: 0 if decisions are up to date."""
    queued: int
    """Events that wait to be folded in, on this replica."""
    rules: int
    rule_problems: int
    """Mistakes in rule files; 0 for a caller that is limited to namespaces."""
    sources: int
    working: int
    """Sources that work."""
    halted: int
    """Sources with halted partitions."""
    sentence: str
    """All of this in one line."""


class Need(View):
    name: str
    """A rule, run, source, file or component."""
    sentence: str
    """What is known of it; foreign text may be part of it."""
    since: Moment | None = None
    """When it began, if known; for a group of dead letters the time of the newest."""
    rule: str | None = NotGiven
    run: Id | None = NotGiven
    source: str | None = NotGiven
    act: Literal["resume"] | None = NotGiven
    """What may be done at once."""


class NeedGroup(View):
    kind: Annotated[str, words(get_args(Kind))]
    count: int
    more: bool
    """There are more than were counted."""
    way_out: str
    """What to do."""
    items: list[Need]
    """The first ones."""


class ReasonCount(View):
    decision: Decided
    reason: str
    """A word of docs/reference/reasons.md."""
    count: int
    idle: bool
    """Nothing holds these rules: there is nothing for them to do, or they would fire now."""


class VerdictTotals(View):
    rules: int
    known: int
    """Rules whose verdict is known so far. The rest is counted in the background while somebody looks."""
    by: list[ReasonCount]
    """The worst first."""


class RunTotals(View):
    live: dict[str, int]
    """Runs that have not ended, by phase."""
    ended: dict[str, int]
    """Runs that ended since `since`, by phase."""
    since: Moment
    more: bool
    """Only the newest were counted."""
    running: list[Run]
    """The newest that run."""
    last_ended: list[Run]
    """The latest first."""


class OverviewView(View):
    health: OverviewHealth
    needs: list[NeedGroup]
    """What does not go on by itself, the most urgent kind first; what only waits is the last."""
    verdicts: VerdictTotals
    runs: RunTotals


@router.get("/overview", response_model=OverviewView)
def show_overview(request: Request, sees: Sees) -> Any:
    """Health, what needs somebody, how many rules are held and why, and how many runs there are.

    It is limited to what the token may see. Without the store, only what is known without it.
    """
    return request.app.state.overviews.of(sees)
