"""One fact that a source reports, shaped as a CloudEvent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Mapping

KAFKA = "kafka"
"""Under this name expressions, the ledger and the API show a record's place among the attributes."""


@dataclass(frozen=True, slots=True)
class Event:
    """A fact; it never judges.

    ``source`` is the configured name of the source, ``id`` what makes two deliveries one within that source,
    ``time`` the moment the fact is about, in seconds since the epoch (UTC); ``data`` is JSON-shaped. What the sender
    says beyond that (CloudEvents extensions) stands in ``attributes``: texts, numbers and booleans that nothing of
    ours relies on. ``record`` is what our own adapter says of a Kafka record (``topic``, ``partition``, ``offset``,
    ``timestamp``, ``headers``, ``key`` or ``key_base64``), empty on other roads: no sender can set it. ``takes_back``
    is the id of an event that is no longer so: when that one is told again it is no repeat.
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
        """The partition (`topic/number`) and the offset of its record; an empty text and 0 on other roads."""
        record = self.record
        return (f"{record['topic']}/{record['partition']}", record["offset"]) if record else ("", 0)

    @property
    def label(self) -> str:
        """Name of the thing that came: an object's key, a subject, a record's key; at most 1,024 characters."""
        key = self.data.get("key")
        named = values.text(key) if isinstance(key, (str, int)) else ""
        return str(named or self.subject or self.record.get("key") or "")[:1024]

    def shown_attributes(self) -> Mapping[str, Any]:
        """Attributes as expressions and the store have them: `kafka` is the record, whatever a sender says."""
        return {**self.attributes, KAFKA: self.record} if self.record else self.attributes


def split_attributes(shown: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Inverse of `Event.shown_attributes`: the sender's attributes, and the record.

    A sender's attribute is never a map (`sources.formats` lets none in), so a map of the right shape is ours.
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
    """What a source received but nobody can read as an event; it is kept as a dead letter.

    ``payload`` holds at most what the source's size limit lets in, ``error`` says what is wrong with it. Without
    ``kept`` another dead letter, of the same id, has the payload: it counts, and makes none of its own.
    """

    source: str
    id: str
    payload: bytes
    error: str
    kept: bool = True
