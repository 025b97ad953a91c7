"""Activity: who did what, and what was refused."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request

from retrainer.api.parameters import Context, Cursor, Limit, Period, Text, page
from retrainer.api.sight import Sees, caller_of
from retrainer.api.views import PRINTABLE, Moment, Page, View
from retrainer.store.activity import ActivityQuery, activity
from retrainer.store.pages import PageRequest

router = APIRouter(tags=["ledger"])


class Activity(View):
    id: str
    at: Moment
    last_at: Moment
    """Of equal refusals, the last one; else the same as `at`."""
    count: int
    """Number of equal refusals within an hour; 1 for an act."""
    act: str
    """trigger, withdraw_triggers, backfill, withdraw_backfills, pause, resume, cancel, retry, feedback, import_state,
    replay_dead_letters, discard_dead_letters, reset_source, replay_source, cancel_replay, backup, report_backup,
    reload, log_level, edit, or `request` for a refused token."""
    by: str
    """Name of the token: `http.token`, `http.read_token`, or a name in `http.tokens`. `anonymous` for a daemon without
    tokens, `files` for an edit of rule files, empty for an unknown token."""
    on_behalf_of: str
    """The user that the request names. Nobody has checked it."""
    address: str
    """Where the request came from. `ADDRESS via REPLICA` if another replica passed it on."""
    namespace: str
    rule: str
    key: str
    run: str
    target: str
    """A source, a file of rules, or the route of a refused request."""
    dry_run: bool
    result: str
    """done or refused."""
    detail: str


@router.get("/activity", response_model=Page[Activity])
def list_activity(
    api: Context,
    sees: Sees,
    request: Request,
    period: Period,
    rule: Text = None,
    by: Annotated[str | None, Query(max_length=100, pattern=PRINTABLE, description="Name of a token")] = None,
    act: Annotated[
        str | None, Query(max_length=100, pattern=PRINTABLE, description="What was done, as `pause`")
    ] = None,
    result: Literal["done", "refused"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    """Acts, refusals and edits of rule files, newest first.

    A token that is limited to namespaces sees what concerns them, and what it did itself.
    """
    query = ActivityQuery(rule, by, act, result, sees, caller_of(request).name)
    return page(api.read(activity, query, PageRequest(cursor, limit, *period)))
