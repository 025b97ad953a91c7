"""Dead letters: list, show, replay and discard."""

import base64
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from retrainer.api.acting import Acts
from retrainer.api.description import problems
from retrainer.api.parameters import BigNumber, Context, Limit, Number, Period, Text, page, refusals
from retrainer.api.sight import Sees
from retrainer.api.views import Moment, Page, RequestBody, View, WholeNumber
from retrainer.engine.commands import letter_replay, long_commands, operator_commands
from retrainer.sources.http.refusal import Refusal
from retrainer.store import queries
from retrainer.store.pages import PageRequest
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.counts import many

router = APIRouter(tags=["ledger"])
FEW = 10


class DeadLetter(View):
    id: int
    at: Moment
    source: str
    event: str
    """The event's id."""
    reason: str
    error: str
    rule: str
    """The rule that could not process it, or empty."""
    size: int
    """Bytes of its payload."""


class DeadLetterDetail(DeadLetter):
    payload: str
    encoding: Literal["utf-8", "base64"]
    """Of `payload`."""


class NotReplayed(View):
    id: int
    error: str


class PreviewedLetter(View):
    id: int
    source: str
    rule: str
    """The rule that could not process it, or empty."""
    kept: bool
    """Whether it would stay a dead letter."""
    detail: str
    """Why it would be kept, or what its rules would decide."""


class Replayed(View):
    replayed: int
    failed: list[NotReplayed] = []
    """Dead letters that are kept."""
    letters: list[PreviewedLetter] = []
    """With `dry_run`: what a replay would make of each of the oldest 100, each alone."""
    unchecked: int = 0
    """With `dry_run`: the number of others."""


class Discarded(View):
    discarded: int
    size: int | None = None
    """With `dry_run`: bytes of their payloads."""


class DeadLetterIds(RequestBody):
    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [1, 2], "dry_run": True}]})

    ids: Annotated[list[WholeNumber], Field(min_length=1, max_length=500)]
    dry_run: bool = False
    """Only show what would happen."""


@router.get("/dead-letters", response_model=Page[DeadLetter])
def list_dead_letters(
    api: Context,
    sees: Sees,
    period: Period,
    source: Text = None,
    reason: Text = None,
    rule: Text = None,
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """Input that could not be processed, newest first. `since` and `until`: stored then."""
    asked = PageRequest(cursor, limit, *period)
    return page(api.read(queries.dead_letters, source=source, reason=reason, rule=rule, scope=sees, page=asked))


@router.get("/dead-letters/{number:number}", response_model=DeadLetterDetail, responses=problems(404))
def show_dead_letter(api: Context, sees: Sees, number: BigNumber) -> Any:
    """One dead letter with its payload."""
    found = api.read(queries.dead_letter, number)
    if found is None or not sees.has_letter(found):
        raise Refusal(404, f"there is no dead letter {number}")
    raw: bytes = found["payload"]
    try:
        payload, encoding = SECRETS.mask(raw.decode()), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(raw).decode(), "base64"
    return {**found, "size": len(raw), "payload": payload, "encoding": encoding}


@router.post("/dead-letters/replay", response_model=Replayed, responses=problems(409))
def replay_dead_letters(acts: Acts, letters: DeadLetterIds) -> Any:
    """Process dead letters again; those that fail again are stored again."""
    act = acts.on("replay_dead_letters", detail=_named(letters), dry_run=letters.dry_run)
    with refusals():
        if letters.dry_run:
            return long_commands.preview_replay(act, letters.ids)
        return long_commands.replay_dead_letters(act, letters.ids)


@router.post("/dead-letters/discard", response_model=Discarded)
def discard_dead_letters(acts: Acts, letters: DeadLetterIds) -> Any:
    """Delete dead letters."""
    act = acts.on("discard_dead_letters", detail=_named(letters), dry_run=letters.dry_run)
    with refusals():
        if letters.dry_run:
            return act(letter_replay.extent, letters.ids)
        return {"discarded": act(operator_commands.discard_dead_letters, letters.ids)}


def _named(letters: DeadLetterIds) -> str:
    """Return the number of dead letters, and the first of their ids."""
    first = ", ".join(map(str, letters.ids[:FEW]))
    return f"{many(len(letters.ids), 'dead letter')}: {first}{', …' if len(letters.ids) > FEW else ''}"
