"""What sources and the engine say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from retrainer.event import Event, Poison


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts of one source, taken in together in one transaction.

    ``identity_window``: seconds for which an event's id is remembered; 0 if the source tells repeats apart by itself.
    ``objects``: what a listing source saw, key to fingerprint, None for a key that is gone; stored with the events.
    """

    source: str
    items: Sequence[Event | Poison]
    identity_window: float = 604800.0
    objects: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The batch is durable. ``outcomes`` has a word for each item.

    The words: matched, filtered, duplicate, dead_lettered, ignored.
    """

    outcomes: Sequence[str]


class Overloaded(Exception):
    """The engine's queue is full; nothing was taken. Ask again after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the engine is behind; ask again in {retry_after:g} s")
        self.retry_after = retry_after


class Intake(Protocol):
    def offer(self, batch: Batch) -> Future[Receipt]:
        """Queue a batch; the future ends when it is durable, or raises why it is not. Raise Overloaded at once."""

    def objects(self, source: str) -> dict[str, str]:
        """Return what a listing source stored last: key to fingerprint."""


class Source(Protocol):
    """An adapter with a thread of its own."""

    name: str
    last_error: str | None
    """What keeps it from its work right now, in words; None if nothing does."""
    poll_errors: int
    """How many looks at what it listens to have failed since it was made."""

    def start(self) -> None:
        """Begin to report."""

    def stop(self) -> None:
        """Take nothing more in, and return once what was under way is settled."""
