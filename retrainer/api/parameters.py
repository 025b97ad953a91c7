"""Shared by all endpoints: the context, parameters of lists, and the mapping of errors to responses."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, AwareDatetime
from starlette.requests import Request

from retrainer.api.context import ApiContext
from retrainer.api.problems import words
from retrainer.api.views import Problem
from retrainer.sources.http.refusal import Refusal
from retrainer.sources.replay import Busy
from retrainer.store.queries import Page


async def _context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


Context = Annotated[ApiContext, Depends(_context)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of items")]
Number = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="`next` of the previous page")]
Text = Annotated[str | None, Query(max_length=1024)]
RuleName = Annotated[str, Path(description="Name of a rule", max_length=63)]
KeyOfRule = Annotated[str, Query(max_length=1024, description="Key of a rule with `for_each`")]
RunId = Annotated[str, Path(description="Id of a run, the beginning of it, or the name of its Workflow", max_length=64)]
BigNumber = Annotated[int, Path(ge=0, le=2**63 - 1)]

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _within_reach(moment: datetime) -> datetime:
    """Limit the range, because schedules are computed forwards and back from this time."""
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("a time from 1970 to 2199 is expected")
    return moment


Instant = Annotated[AwareDatetime, AfterValidator(_within_reach)]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "Rejected; `detail` has the reason and the remedy"},
    "5XX": {"model": Problem, "description": "Temporarily not possible"},
}


@contextmanager
def refusals(otherwise: int = 409) -> Iterator[None]:
    """Turn LookupError into 404, Busy into 409 and any other ValueError into status `otherwise`."""
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
