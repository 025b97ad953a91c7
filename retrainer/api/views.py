"""What requests and responses of all resources share. Times are RFC 3339 in UTC."""

from collections.abc import Iterable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from retrainer.rules.outcome import Kind
from retrainer.runs.run import RunPhase
from retrainer.util.timefmt import rfc3339

T = TypeVar("T")
ULID = "^[0-9A-HJKMNP-TV-Z]{26}$"
PRINTABLE = r"^[^\x00]*$"
"""PostgreSQL stores no NUL: in its place the store has another character, so that a text with NUL is never found."""
MOST = 2**53 - 1
"""The largest integer of requests: larger ones are not exact in JSON as JavaScript and many tools read it."""


def moment(value: object) -> str:
    """Return seconds since the epoch as RFC 3339 with milliseconds. Raise ValueError if it is not a time."""
    if isinstance(value, str):
        return value
    if not isinstance(value, (int, float)):
        raise ValueError("not a time")  # noqa: TRY004 - pydantic wants a ValueError
    return rfc3339(value)


def words(known: Iterable[str], described: str = "") -> WithJsonSchema:
    """Describe a text of responses as one of these words. A store may hold others, written by another release."""
    return WithJsonSchema(
        {"type": "string", "enum": [str(word) for word in known], **({"description": described} if described else {})}
    )


Moment = Annotated[
    str,
    BeforeValidator(moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-24T08:00:00.000Z"]}),
]
Id = Annotated[str, WithJsonSchema({"type": "string", "pattern": ULID, "examples": ["01KAV0000000000000000000R1"]})]
"""A ULID: ids sort by the time of creation."""
Phase = Annotated[str, words(RunPhase)]
Decided = Annotated[str, words(Kind)]
KeyText = Annotated[str, Field(max_length=1024, pattern=PRINTABLE)]
ParameterValues = dict[str, Annotated[str, Field(pattern=PRINTABLE)]]
Json = dict[str, Any]
"""An object of which the user, a sender or a workflow decides the fields."""


def _is_none(value: object) -> bool:
    return value is None


NotGiven = Field(default=None, exclude_if=_is_none)
"""For a field that is left out, instead of null, where it does not apply."""


class View(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe every field as always there, but those that are left out."""
        described = handler(schema)
        inner = handler.resolve_ref_schema(described)
        left_out = {field.alias or name for name, field in cls.model_fields.items() if field.exclude_if is not None}
        if left_out:
            inner["required"] = [name for name in inner.get("required", ()) if name not in left_out]
        return described


def _no_flag(value: object) -> object:
    if isinstance(value, (bool, str)):
        raise ValueError("a whole number is expected")  # noqa: TRY004 - pydantic wants a ValueError
    return value


WholeNumber = Annotated[int, Field(ge=0, le=MOST, strict=False), BeforeValidator(_no_flag)]
"""In JSON, 3.0 is a whole number, too."""


class RequestBody(BaseModel):
    """The body of a request. Unknown fields and values of another type are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


_NEXT = "`cursor` of the following page; null on the last one. There may be one even if this page is short or empty."


class Page(BaseModel, Generic[T]):
    # Without docstrings of fields: for each `Page[T]`, pydantic would parse the caller's source to find them (20 ms).
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    items: list[T]
    next: Annotated[str | None, Field(description=_NEXT)] = None


class Strip(View):
    """Equal consecutive decisions. They last until the following ones."""

    id: int
    decision: Decided
    reason: str
    """A word of docs/reference/reasons.md."""
    detail: str
    until: Moment | None = None
    run: Id | None = None
    first_at: Moment
    last_at: Moment
    count: int
    """Number of equal consecutive decisions."""


class Invalid(View):
    at: str
    """The field or parameter, such as `body.key`."""
    message: str


class Problem(View):
    """An error, as RFC 9457 describes it."""

    type: str
    """Always `about:blank`: the status says all that is needed to tell errors apart."""
    title: str
    """The name of the status."""
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    """What is wrong, where, and what to do instead."""
    errors: list[Invalid] | None = NotGiven
    """Each field or parameter that is not as described; with status 422 only."""
