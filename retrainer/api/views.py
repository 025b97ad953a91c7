"""What requests and responses of all resources share. Times are RFC 3339 in UTC."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from retrainer.util.timefmt import rfc3339

T = TypeVar("T")


def moment(value: object) -> str:
    """Return seconds since the epoch as RFC 3339 with milliseconds. Raise ValueError if it is not a time."""
    if isinstance(value, str):
        return value
    if not isinstance(value, (int, float)):
        raise ValueError("not a time")  # noqa: TRY004 - pydantic wants a ValueError
    return rfc3339(value)


Moment = Annotated[str, BeforeValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})]


class View(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Open(View):
    """May have more fields than are listed here."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class RequestBody(BaseModel):
    """The body of a request. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


_NEXT = "`cursor` of the following page. There may be one even if this page is short or empty."


class Page(BaseModel, Generic[T]):
    # Without docstrings of fields: for each `Page[T]`, pydantic would parse the caller's source to find them (20 ms).
    items: list[T]
    next: Annotated[str | None, Field(description=_NEXT)] = None


class Problem(View):
    type: str
    title: str
    status: int
    detail: str
