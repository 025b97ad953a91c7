"""One fact that a source reports, shaped as a CloudEvent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Event:
    """A fact; it never judges.

    ``source`` is the configured name of the source, ``id`` what makes two deliveries one within that source,
    ``time`` the moment the fact is about, in seconds since the epoch (UTC); ``data`` is JSON-shaped. What the transport
    or the envelope says beyond that (CloudEvents extensions, headers) stands in ``attributes``. ``takes_back`` is the
    id of an event that is no longer so: when that one is told again it is no repeat.
    """

    source: str
    id: str
    type: str
    time: float
    data: Mapping[str, Any]
    subject: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    takes_back: str = ""


@dataclass(frozen=True, slots=True)
class Poison:
    """What a source received but nobody can read as an event; it is kept as a dead letter.

    ``payload`` holds at most what the source's size limit lets in, ``error`` says what is wrong with it.
    """

    source: str
    id: str
    payload: bytes
    error: str
