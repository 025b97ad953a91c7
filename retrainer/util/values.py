"""PURE. How values of YAML, JSON, labels, Avro and CEL are converted for comparing and counting, in one place.

docs/reference/values.md has the same as a table; a test runs that table.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST = 2**53
"""Maximum bytes or rows of one event, so that sums always fit the store."""
MISSING: Any = object()
"""Stands for a field that does not exist."""
_TEXTS = frozenset(("labels", "annotations"))
"""Fields of the data that hold text by name, for every sender."""
_TYPED = frozenset(("data", "time"))
"""Fields of the envelope that do not hold text."""
_SHORTEST, _LONGEST = 1e-20, 1e21
"""Numbers outside of this range are written with an exponent."""
_AMOUNT = re.compile(r"[0-9]{1,40}(\.0*)?", re.ASCII)
_TRIED = 1000
"""Maximum number of names with dots that are tried for one field: a path of many parts can be split in many ways."""
_NUL = re.compile(r"\x00")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class TooLargeError(ValueError):
    """A number beyond what is accepted."""


def text(value: object) -> str | None:
    """Return a scalar as text; None for null, lists, maps and other non-scalars.

    Booleans are `true` and `false`. Numbers are decimal, with an exponent only outside of 1e-20 to 1e21.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        written_out = value == 0 or _SHORTEST <= abs(value) < _LONGEST
        return format(Decimal(repr(value)), "f") if written_out else repr(value)
    return None


def shown(value: object) -> str:
    """A value for messages, at most 100 characters: text in quotes, anything else as JSON."""
    if isinstance(value, str):
        return repr(value[:100])[:100]
    try:
        return orjson.dumps(_begun(value, [100])).decode()[:100]
    except (TypeError, ValueError):
        return str(value)[:100] if not isinstance(value, (list, dict)) else kind(value)


def _begun(value: object, room: list[int]) -> object:
    """The beginning of a value, up to ``room`` characters: an expression can repeat the same megabyte many times."""
    room[0] -= min(len(value), 100) if isinstance(value, str) else 1
    if isinstance(value, str):
        return value[:100]
    if isinstance(value, list):
        return [_begun(one, room) for one in value if room[0] > 0]
    if isinstance(value, dict):
        return {name: _begun(one, room) for name, one in value.items() if room[0] > 0}
    return value


def holds_text(path: Sequence[str]) -> bool:
    """Whether a field of an event is compared as text: labels, annotations, and the envelope with its attributes."""
    if path[0] == "event" and len(path) > 1:
        return path[1] not in _TYPED or (path[1] == "data" and len(path) > 3 and path[2] in _TEXTS)
    return len(path) > 1 and path[0] in _TEXTS


def field(value: Any, path: Sequence[str]) -> Any:
    """The value at a path; MISSING if there is none. Names in the value may contain dots."""
    here = value
    for name in path:
        if not isinstance(here, dict) or name not in here:
            return _dotted(value, path, [_TRIED]) if len(path) > 1 else MISSING
        here = here[name]
    return here


def _dotted(value: Any, path: Sequence[str], left: list[int]) -> Any:
    """The value at a path if names contain dots: `service.name` is one step or two. The shorter name is tried first.

    ``left`` is the remaining number of tries.
    """
    if not path:
        return value
    if not isinstance(value, dict):
        return MISSING
    for length in range(1, len(path) + 1):
        left[0] -= 1
        if left[0] < 0:
            return MISSING
        name = ".".join(path[:length])
        if name in value and (found := _dotted(value[name], path[length:], left)) is not MISSING:
            return found
    return MISSING


def name(value: object, longest: int, *, printable: bool) -> str:
    """Return a key, or a value of `distinct_by`: a text of 1 to ``longest`` characters, or a whole number.

    Raise ValueError that says what the value is instead. A NUL is rejected, as some stores do not support it in text;
    with ``printable``, all control characters are rejected.
    """
    if isinstance(value, str):
        if not value:
            raise ValueError("gives an empty text")
        if len(value) > longest:
            raise ValueError(f"gives a text of {len(value)} characters")
        if (_CONTROL if printable else _NUL).search(value):
            raise ValueError(f"gives {shown(value)}, which has control characters")
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"gives {shown(value)}, which is {kind(value)}")


def amount(value: object) -> int:
    """Return a size in bytes: a whole number from 0 to 2^53, or such a number as decimal text; null or "" is 0.

    Raise ValueError that says what the value is instead, TooLargeError for a larger number.
    """
    if value is None or value == "":
        return 0
    found = value
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        found = int(value.partition(".")[0])
    whole = isinstance(found, int) or (isinstance(found, float) and found.is_integer())
    if not whole or isinstance(found, bool) or found < 0:  # type: ignore[operator] # it is a number here
        raise ValueError(f"size {shown(value)} is not a number of bytes")
    if found > MOST:  # type: ignore[operator] # it is a number here
        raise TooLargeError(f"a size of {shown(value)} bytes: nothing is larger than {MOST}")
    return int(found)  # type: ignore[call-overload,no-any-return] # it is a number here


def rows(value: object) -> int:
    """Return a number of rows from 0 to 2^53; a fraction is rounded down. Raise ValueError for anything else.

    Text is rejected: the author of the expression can convert it.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST:
        raise ValueError(f"gives {shown(value)}, not a number of rows")
    return int(value)


def number(value: object) -> float | None:
    """Return the value of a metric: a number, or None for null (no data). Raise ValueError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"gives {shown(value)}, not a number")  # noqa: TRY004 - callers expect one error type
    return float(value)


def kind(value: object) -> str:
    """The type of a value, in words."""
    for types, words in _KINDS:
        if isinstance(value, types):
            return words
    return "nothing" if value is None else type(value).__name__


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (str, "a text"),
    (int, "a whole number"),
    (float, "a number with a fraction"),
    ((list, tuple), "a list"),
    (dict, "a map"),
)


def labels(value: object) -> Mapping[str, str]:
    """Return the labels of a sender, each as text; labels that are null, lists or maps are left out."""
    if not isinstance(value, dict):
        return {}
    return {str(label): as_text for label, each in value.items() if (as_text := text(each)) is not None}
