"""Format `json`: any JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.sources.formats.payload import Delivery, Unreadable, load, poison
from retrainer.sources.formats.plain import Plain, kind_of

if TYPE_CHECKING:
    from retrainer.event import Event, Poison

EVENT_TYPE = "json"


@dataclass(frozen=True, slots=True)
class JsonFormat(Plain):
    def parse(self, delivery: Delivery) -> tuple[Event | Poison, ...]:
        try:
            return (self.event(delivery, EVENT_TYPE, _object(delivery)),)
        except Unreadable as error:
            return (poison(delivery, error),)


def _object(delivery: Delivery) -> dict[str, object]:
    data = load(delivery)
    if not isinstance(data, dict):
        raise Unreadable(f"a JSON object is expected, not {kind_of(data)}")
    return data
