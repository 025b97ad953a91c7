"""Shared by all formats: the delivery, and the checks that each payload passes before it is interpreted."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.event import Event, Poison
from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_DEPTH = 64
MAX_ID = 1024
MAX_ITEMS = 10_000
"""Events in one payload."""
MOST_ERRORS = 5
FUTURE = 86400.0
_INTEGERS = range(-(2**63), 2**63)
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS = b"0" * 19  # the number of digits of 2^63
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request or record as received.

    ``source``: the configured name. ``headers`` have lower-case names. ``received_at``: seconds since the epoch.
    ``attributes`` are added to those of its events, and override them. ``record``: the position of a Kafka record (see
    `Event.record`). ``time``: the transport's, in seconds since the epoch, for payloads without one. ``id`` identifies
    the delivery, and its event if the payload has no identity; deliveries with the same id count as one. ``max_size``
    is in bytes. ``refusing``: the sender can be told to send less at once, so a payload that is too large raises
    `TooMany` instead of becoming a dead letter. ``told`` is called with JSON that the body embeds in another encoding,
    before it is parsed, and may raise to refuse it.
    """

    source: str
    body: bytes
    received_at: float
    id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    max_size: int = 1 << 20
    refusing: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    time: float | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    told: Callable[[bytes], None] | None = None


class Unreadable(ValueError):
    """The payload, or an item of it, is not an event. The message says what is wrong."""


class TooMany(Unreadable):
    """The payload has too many items to be taken at once."""


def poison(delivery: Delivery, error: object, payload: bytes | None = None) -> Poison:
    """Return a dead letter. Its id is a hash of the payload, so repeats are recognised. Raise TooMany if `refusing`."""
    if isinstance(error, TooMany) and delivery.refusing:
        raise error
    kept = (delivery.body if payload is None else payload)[: delivery.max_size]
    return Poison(delivery.source, f"sha256:{hashlib.sha256(kept).hexdigest()}", kept, str(error))


def each(
    delivery: Delivery, items: Sequence[Any], read: Callable[[Any], Event], around: Callable[[list[Any]], Any]
) -> tuple[Event | Poison, ...]:
    """Read the items of a payload. Unreadable ones do not affect the others; together they are one dead letter.

    ``around`` returns what that letter stores: the unreadable items within the payload's shared fields. Raise TooMany.
    """
    if len(items) > MAX_ITEMS:
        raise TooMany(f"{len(items)} items in one payload, at most {MAX_ITEMS} are allowed: send less at once")
    found: list[Event | Unreadable] = []
    for item in items:
        try:
            found.append(read(item))
        except Unreadable as error:
            found.append(error)
    bad = [i for i, one in enumerate(found) if not isinstance(one, Event)]
    if not bad:
        return tuple(one for one in found if isinstance(one, Event))
    letter = _letter(delivery, [found[i] for i in bad], around([items[i] for i in bad]))
    letter.reverse()
    return tuple(one if isinstance(one, Event) else letter.pop() for one in found)


def _letter(delivery: Delivery, errors: Sequence[object], payload: Any) -> list[Poison]:
    """Return one dead letter for several items: the first stores all of them, the others only their errors."""
    first = poison(delivery, _summary(errors), orjson.dumps(payload))
    return [first, *(replace(first, kept=False, payload=b"", error=str(error)) for error in errors[1:])]


def _summary(errors: Sequence[object]) -> str:
    if len(errors) == 1:
        return str(errors[0])
    counted = Counter(map(str, errors)).most_common(MOST_ERRORS + 1)
    told = "; ".join(f"{text} ({count})" if count > 1 else text for text, count in counted[:MOST_ERRORS])
    return f"{len(errors)} items: {told}{'; and others' if len(counted) > MOST_ERRORS else ''}"


def load(delivery: Delivery) -> Any:
    """Parse the body as JSON. Raise Unreadable if it is invalid, or exceeds a bound of expressions and stores."""
    if len(delivery.body) > delivery.max_size:
        raise Unreadable(f"{len(delivery.body)} bytes, at most {delivery.max_size} are allowed (max_body)")
    try:
        value = orjson.loads(delivery.body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error}") from None
    if not _harmless(delivery.body) and _suspicious(value, 1):
        json.loads(delivery.body, parse_int=_integer)  # orjson turned integers beyond 64 bits into floats
    return value


def _harmless(body: bytes) -> bool:
    """Return whether the bytes cannot exceed a bound: too few brackets to nest so deep, too few digits in a row.

    This costs about as much as parsing; walking the value in Python, or a regular expression for digits, costs more
    than five times that. Content of strings only causes false negatives.
    """
    return body.count(b"{") + body.count(b"[") <= MAX_DEPTH and _MANY_DIGITS not in body.translate(_DIGITS_TO_ZERO)


def _suspicious(value: Any, depth: int) -> bool:
    """Return whether a float may have been an integer beyond 64 bits.

    Raise Unreadable for an integer beyond 63 bits and a sign, and for nesting that is too deep.
    """
    if isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
        inner = value.values() if isinstance(value, dict) else value
        # A list, not a generator: every branch has to be checked.
        return any([_suspicious(item, depth + 1) for item in inner])  # noqa: C419
    if isinstance(value, int):
        _check_integer(value)
    return isinstance(value, float) and abs(value) >= _INTEGERS.stop


def _integer(digits: str) -> int:
    """Convert short integers only: Python refuses thousands of digits, and is slow on them."""
    if len(digits) > 20:
        raise Unreadable(f"integer {digits[:20]}… is beyond 64 bits; send it as a string")
    return _check_integer(int(digits))


def _check_integer(value: int) -> int:
    if value not in _INTEGERS:
        raise Unreadable(f"integer {value} is beyond 64 bits; send it as a string")
    return value


def time_of(delivery: Delivery, value: object) -> float:
    """Return the payload's time, else the transport's, else the time of receipt."""
    missing = value is None or value == ""
    return event_time(delivery.time if missing else value, delivery.received_at)


def event_time(value: object, received_at: float) -> float:
    """Return a time in seconds since the epoch, from RFC 3339 with a zone or seconds since the epoch.

    Nothing (None, "") means `received_at`. Raise Unreadable for anything else, for times before 1970, and for times
    more than a day after `received_at`: a wrong clock or unit would extend a run's window by years.
    """
    if value is None or value == "":
        return received_at
    seconds = _seconds(value)
    if not seconds >= 0:  # also true for NaN
        raise Unreadable(f"time {value!s:.40} is before 1970")
    if seconds > received_at + FUTURE:
        hint = "; are these milliseconds? seconds are expected" if not isinstance(value, (str, datetime)) else ""
        raise Unreadable(f"time {value!s:.40} is more than a day in the future{hint}")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise Unreadable(f"time {value!r:.60} is not RFC 3339 with a time zone, such as 2026-03-01T02:30:00Z")
    try:
        return epoch(value)
    except (ValueError, OverflowError):
        raise Unreadable(f"time {value!r:.60} does not exist") from None


def event_id(identity: str, limit: int = MAX_ID) -> str:
    """Return the identity itself, or its hash if the store cannot index it.

    That is if it is longer than ``limit`` bytes, or contains a NUL.
    """
    if len(identity) * 4 <= limit and "\0" not in identity:
        return identity
    encoded = identity.encode()
    fits = len(encoded) <= limit and b"\0" not in encoded
    return identity if fits else f"sha256:{hashlib.sha256(encoded).hexdigest()}"
