"""The description of webhooks. `sources.webhook` serves them; which exist is configured."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path

from retrainer.api.description import problems
from retrainer.api.views import NotGiven, View
from retrainer.sources.http.refusal import Refusal

router = APIRouter(tags=["webhooks"])


class UnreadableItem(View):
    item: int
    """Its place in the body, from 0."""
    error: str


class Delivered(View):
    outcomes: list[Literal["matched", "filtered", "duplicate", "dead_lettered", "ignored", "accepted"]]
    """One word for each event. A standby answers `accepted`: the leader evaluates it later."""
    errors: list[UnreadableItem] | None = NotGiven
    """The first hundred items that could not be read. They are dead letters."""
    errors_left_out: int | None = NotGiven
    """Number of further ones."""


_BODY = {"content": {"application/json": {"schema": {}}}, "description": "Events, in the format of the source"}


@router.post(
    "/hooks/{path:path}",
    response_model=Delivered,
    status_code=202,
    responses=problems(400, 401, 403, 404, 405, 408, 413, 415, 429, 503),
    openapi_extra={"requestBody": _BODY},
)
async def deliver_events(path: Annotated[str, Path(description="As in `path` of a source", examples=["push"])]) -> Any:
    """Deliver events to a source, with its own token or signature. 202 means that all of them are stored."""
    raise Refusal(404, f"no source listens on /hooks/{path}")
