"""Shared by all endpoints: the context, parameters of lists, and the mapping of errors to responses."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request

from retrainer.api.context import ApiContext
from retrainer.api.problems import words
from retrainer.api.views import MOST, PRINTABLE
from retrainer.sources.http.refusal import Refusal
from retrainer.sources.replay import Busy
from retrainer.store.pages import Page


async def _context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


Context = Annotated[ApiContext, Depends(_context)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of items")]
CURSOR = "`next` of the previous page"
Number = Annotated[int | None, Query(ge=0, le=MOST, description=CURSOR)]
Cursor = Annotated[str | None, Query(max_length=1024, pattern=PRINTABLE, description=CURSOR)]
Text = Annotated[str | None, Query(max_length=1024, pattern=PRINTABLE)]
RuleName = Annotated[str, Path(description="Name of a rule", max_length=63, examples=["churn"])]
KeyOfRule = Annotated[
    str, Query(max_length=1024, pattern=PRINTABLE, description="Key of a rule with `for_each`", examples=["de"])
]
RunId = Annotated[str, Path(description="Id of a run, the beginning of it, or the name of its Workflow", max_length=64)]
BigNumber = Annotated[int, Path(ge=0, le=MOST)]
IdempotencyKey = Annotated[
    str | None, Header(max_length=255, description="A name for the request: if it is repeated, the answer is the same")
]

_YEARS = "^(19[7-9][0-9]|2[01][0-9]{2})-"


def _dated(given: object) -> object:
    """Refuse what pydantic reads as seconds since the epoch."""
    if isinstance(given, datetime) or (isinstance(given, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", given)):
        return given
    raise ValueError("write a time as 2026-11-24T08:00:00Z (RFC 3339, with a zone)")


def _within_reach(moment: datetime) -> datetime:
    """Limit the range, because schedules are computed forwards and back from this time."""
    if not 1970 <= moment.year < 2200:
        raise ValueError("a time from 1970 to 2199 is expected")
    return moment


_Rfc3339 = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_dated)]
_DURATION = {"type": "string", "pattern": "^([0-9]{1,4}(ms|s|m|h|d)|[0-9]{1,3}w){1,3}$"}
MOMENT = {"type": "string", "format": "date-time", "pattern": _YEARS}
DAY = {"type": "string", "format": "date", "pattern": _YEARS}


def readable(read: Callable[[str], object]) -> AfterValidator:
    """Return the check that a text is read without ValueError. It stays a text: what it means depends on now."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


def shapes(*of_times: dict[str, str]) -> WithJsonSchema:
    """Return the description of a time in one of the shapes, or as a duration before now."""
    return WithJsonSchema({"anyOf": [*of_times, _DURATION], "examples": ["2026-11-24T08:00:00Z", "7d"]})


Instant = Annotated[
    _Rfc3339,
    AfterValidator(_within_reach),
    WithJsonSchema(MOMENT),
]
Since = Annotated[_Rfc3339 | None, Query(description="At this time or later")]
Until = Annotated[_Rfc3339 | None, Query(description="Before this time")]


def _period(since: Since = None, until: Until = None) -> tuple[float | None, float | None]:
    begin, end = (moment.timestamp() if moment is not None else None for moment in (since, until))
    return begin, end


Period = Annotated[tuple[float | None, float | None], Depends(_period)]
"""`since` and `until` of a list in seconds since the epoch, as `PageRequest` takes them."""


class _NumberInPath(StringConvertor):
    """Whole numbers only: `GET /dead-letters/replay` is answered with 405, not with 422 for a bad number."""

    regex = "[+-]?[0-9]+"


register_url_convertor("number", _NumberInPath())


@contextmanager
def refusals(otherwise: int = 409) -> Iterator[None]:
    """Turn LookupError into 404, Busy into 409 and any other ValueError into status `otherwise`.

    422 is for requests that are not as described. One that is as described, but not possible with the rules, runs and
    sources as they are, is answered with 409.
    """
    try:
        yield
    except LookupError as error:
        raise Refusal(404, words(error)) from None
    except Busy as error:
        raise Refusal(409, words(error)) from None
    except ValueError as error:
        raise Refusal(otherwise, words(error)) from None


def page(found: Page) -> dict[str, Any]:
    return {"items": found.items, "next": None if found.next is None else str(found.next)}
