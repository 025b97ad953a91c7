"""Payloads without an envelope. Source expressions give identity and time, else those of the delivery are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.event import Event
from retrainer.rules.cel.errors import NoField
from retrainer.sources.formats.payload import Delivery, Unreadable, event_id, time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.expression import Program

# Expressions may read all headers except these, because their results are stored.
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-retrainer-signature"})


@dataclass(frozen=True, slots=True)
class Plain:
    """``id`` is evaluated over `data` and `headers`, ``time`` over `data`; None if the source has no such expression.

    ``identity_header``: the header that identifies an event without ``id``, for transports that have one.
    """

    id: Program | None = None
    time: Program | None = None
    identity_header: str = ""

    def event(self, delivery: Delivery, kind: str, data: Mapping[str, Any]) -> Event:
        """Return the event. Raise Unreadable if an expression gives an invalid identity or time."""
        if self.id is None and self.time is None:  # most sources; hot path
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
    """Return the kind of a value, for messages."""
    if value is None:
        return "nothing"
    if value == "":
        return "an empty string"
    kinds = {list: "a list", dict: "an object", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), type(value).__name__)


def _readable(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}


def _value(program: Program | None, scope: dict[str, Any]) -> Any:
    """Return the value of an expression; None without an expression, or if the field it reads is missing."""
    if program is None:
        return None
    try:
        return program.evaluate(scope)
    except ValueError as error:
        if isinstance(error, NoField):
            return None
        raise Unreadable(str(error)) from None
