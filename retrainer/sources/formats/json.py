"""Any JSON object: its identity and time are where the source's expressions point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.event import Event, Poison
from retrainer.sources.formats.payload import Delivery, Unreadable, event_id, event_time, load, poison

if TYPE_CHECKING:
    from retrainer.rules.expression import Program

EVENT_TYPE = "json"
# Expressions may read any header but these: what they give is stored.
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-retrainer-signature"})


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """``id`` reads `data` and `headers`, ``time`` reads `data`; None where the source has no such expression."""

    id: Program | None = None
    time: Program | None = None

    def parse(self, delivery: Delivery) -> tuple[Event | Poison, ...]:
        try:
            return (self._event(delivery),)
        except Unreadable as error:
            return (poison(delivery, error),)

    def _event(self, delivery: Delivery) -> Event:
        data = load(delivery)
        if not isinstance(data, dict):
            raise Unreadable(f"a JSON object is expected, not {_kind(data)}")
        scope = {"data": data, "headers": {k: v for k, v in delivery.headers.items() if k not in _SECRET_HEADERS}}
        return Event(
            source=delivery.source,
            id=event_id(self._identity(delivery, scope)),
            type=EVENT_TYPE,
            time=event_time(_value(self.time, scope), delivery.received_at),
            data=data,
        )

    def _identity(self, delivery: Delivery, scope: dict[str, Any]) -> str:
        if self.id is None:
            return delivery.headers.get("idempotency-key") or delivery.id
        value = _value(self.id, scope)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise Unreadable(f"`id: {self.id.text}` gives {_kind(value)}; a string or an integer is expected")
        return str(value)


def _value(program: Program | None, scope: dict[str, Any]) -> Any:
    """Value of an expression; None where there is none to evaluate or the field it asks for is missing."""
    if program is None:
        return None
    try:
        return program.evaluate(scope)
    except ValueError as error:
        if isinstance(error.__context__, KeyError):
            return None
        raise Unreadable(str(error)) from None


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if value == "":
        return "an empty string"
    kinds = {list: "a list", dict: "an object", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), type(value).__name__)
