"""One fact that a source reports, shaped as a CloudEvent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Mapping

KAFKA = "kafka"
"""Name of the attribute under which expressions, the store and the API show the position of a Kafka record."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. An event carries no judgement about what follows from it.

    ``source`` is the configured name of the source. ``id`` identifies a fact within that source: two deliveries with
    the same id are duplicates. ``time`` is when the fact happened (epoch seconds, UTC). ``data`` is JSON-shaped.
    ``attributes`` holds the other attributes of the sender (CloudEvents extensions): texts, numbers and booleans. Only
    the loop guard (`rules.self_trigger`) and the Alertmanager format read some of them by name. ``record`` describes a
    Kafka record (``topic``, ``partition``, ``offset``, ``timestamp``, ``headers``, ``key`` or ``key_base64``). The
    Kafka adapter sets it; a sender cannot. It is empty for other sources. ``takes_back`` is the id of an event that no
    longer holds: a later event with that id is not a duplicate.
    """

    source: str
    id: str
    type: str
    time: float
    data: Mapping[str, Any]
    subject: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    takes_back: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, int]:
        """Partition (`topic/number`) and offset of the Kafka record; `("", 0)` for other sources."""
        record = self.record
        return (f"{record['topic']}/{record['partition']}", record["offset"]) if record else ("", 0)

    @property
    def label(self) -> str:
        """What the event is about: an object's key, a subject or a record's key; at most 1,024 characters."""
        key = self.data.get("key")
        named = values.text(key) if isinstance(key, (str, int)) else ""
        return str(named or self.subject or self.record.get("key") or "")[:1024]

    def shown_attributes(self) -> Mapping[str, Any]:
        """Attributes for expressions and the store. `kafka` is always the record, even if a sender sets it."""
        return {**self.attributes, KAFKA: self.record} if self.record else self.attributes


def split_attributes(shown: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Inverse of `Event.shown_attributes`: return the sender's attributes and the record.

    A sender's attribute is never a map (`sources.formats` rejects maps), so a map of the right shape is a record.
    """
    record = shown.get(KAFKA)
    if not isinstance(record, dict) or not _is_record(record):
        return shown, {}
    return {name: value for name, value in shown.items() if name != KAFKA}, record


def _is_record(value: dict[str, Any]) -> bool:
    numbers = all(type(value.get(name)) is int for name in ("partition", "offset"))
    return numbers and isinstance(value.get("topic"), str) and isinstance(value.get("headers", {}), dict)


@dataclass(frozen=True, slots=True)
class Poison:
    """Input that cannot be read as an event. It is kept as a dead letter.

    ``payload`` is cut to the size limit of the source. ``error`` says what is wrong with it. If ``kept`` is false,
    another dead letter with the same id holds the payload: this one is counted, but not stored.
    """

    source: str
    id: str
    payload: bytes
    error: str
    kept: bool = True
