"""Payloads without an envelope: identity and time are where the source's expressions point, else the delivery's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.event import Event
from retrainer.rules.cel.errors import NoField
from retrainer.sources.formats.payload import Delivery, Unreadable, event_id, time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.expression import Program

# Expressions may read any header but these: what they give is stored.
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-retrainer-signature"})


@dataclass(frozen=True, slots=True)
class Plain:
    """``id`` reads `data` and `headers`, ``time`` reads `data`; None where the source has no such expression.

    ``identity_header`` is the header that names an event in the absence of ``id``, for transports that have one.
    """

    id: Program | None = None
    time: Program | None = None
    identity_header: str = ""

    def event(self, delivery: Delivery, kind: str, data: Mapping[str, Any]) -> Event:
        """Raise Unreadable if an expression gives what is no identity or no time."""
        if self.id is None and self.time is None:  # most sources, and the hot path
            identity, time = self._identity_sent(delivery), None
        else:
            scope = {"data": data, "headers": _readable(delivery.headers)}
            identity, time = self._identity(delivery, scope), _value(self.time, scope)
        return Event(
            source=delivery.source,
            id=event_id(identity),
            type=kind,
            time=time_of(delivery, time),
            data=data,
            attributes=delivery.attributes,
            record=delivery.record,
        )

    def _identity(self, delivery: Delivery, scope: dict[str, Any]) -> str:
        if self.id is None:
            return self._identity_sent(delivery)
        value = _value(self.id, scope)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise Unreadable(f"`id: {self.id.text}` gives {kind_of(value)}; a string or an integer is expected")
        return str(value)

    def _identity_sent(self, delivery: Delivery) -> str:
        return delivery.headers.get(self.identity_header) or delivery.id


def kind_of(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing"
    if value == "":
        return "an empty string"
    kinds = {list: "a list", dict: "an object", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), type(value).__name__)


def _readable(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}


def _value(program: Program | None, scope: dict[str, Any]) -> Any:
    """Value of an expression; None where there is none to evaluate or the field it asks for is missing."""
    if program is None:
        return None
    try:
        return program.evaluate(scope)
    except ValueError as error:
        if isinstance(error, NoField):
            return None
        raise Unreadable(str(error)) from None
