"""What sources and the engine say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from retrainer.event import Event, Poison


OBJECTS = 5000
"""Objects of one page: the engine waits while it is read."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Where the items of a batch stood in one part of their source (a partition), from ``begin`` up to before ``next``.

    Stored by compare-and-set, in the transaction that stores the items: whoever's ``epoch`` is not the last one that
    `Intake.claim` gave out, or whose ``begin`` is not where the store is, loses the batch as a whole. ``item_offsets``
    has the position of each item; without it the batch cannot be split.
    """

    part: str
    epoch: int
    begin: int
    next: int
    item_offsets: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class ReplayScope:
    """Items that were read again on somebody's behalf: only these rules, and only those that did not count them yet.

    ``dry``: nothing is stored, the outcomes say what would be. ``levels``: metrics and alerts take their values too,
    where nothing newer was taken since; a value of last week that is read again says nothing of today.
    """

    rules: frozenset[str]
    dry: bool = False
    levels: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What a source is asked for again and again: ``expr``, and ``sample_time`` for when its samples were taken."""

    expr: str
    sample_time: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts of one source, taken in together: in one transaction, unless they take more time than one may last.

    ``identity_window``: seconds for which an event's id is remembered; 0 if the source tells repeats apart by itself.
    ``objects``: what a listing source saw, key to fingerprint, None for a key that is gone; stored with the events.
    ``stretch``: the part of the source that the items are from, for sources that have positions.
    ``tracked``: events are about objects; the store follows which are there, and an object that both a notification
    (``swept`` false) and a listing (``swept`` true) tell of counts once.
    ``again``: the items are a replay.
    ``kept``: what is left over when a transaction ends early is stored, so the batch can be split anywhere.
    """

    source: str
    items: Sequence[Event | Poison]
    identity_window: float = 604800.0
    objects: Mapping[str, str | None] = field(default_factory=dict)
    offsets: OffsetRange | None = None
    tracked: bool = False
    swept: bool = False
    again: ReplayScope | None = None
    kept: bool = False

    def splits_before(self, index: int) -> bool:
        """Whether what comes before this item can be committed alone: nothing counts twice if the rest never comes."""
        if self.offsets is not None:
            of = self.offsets.item_offsets
            return bool(of) and of[index] > of[index - 1]
        return self.kept or self.identity_window > 0

    def rest(self, index: int) -> Batch:
        """What begins with this item."""
        offsets = self.offsets
        if offsets is not None:
            offsets = replace(offsets, begin=offsets.item_offsets[index], item_offsets=offsets.item_offsets[index:])
        return replace(self, items=self.items[index:], offsets=offsets)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A part as the store has it, now ours. ``next`` is the first position that is not stored, None for a new part."""

    next: int | None
    epoch: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The batch is durable. ``outcomes`` has a word for each item.

    The words: matched, filtered, duplicate, dead_lettered, ignored.
    """

    outcomes: Sequence[str]


class PositionLost(Exception):
    """Somebody else has claimed the part, or moved it: nothing of the batch was taken."""


class Overloaded(Exception):
    """The engine's queue is full; nothing was taken. Ask again after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the engine is behind; ask again in {retry_after:g} s")
        self.retry_after = retry_after


class Intake(Protocol):
    def offer(self, batch: Batch) -> Future[Receipt]:
        """Queue a batch; the future ends when it is durable, or raises why it is not. Raise Overloaded at once."""

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        """Return what a listing source stored last, key to fingerprint: the next `OBJECTS` at most, by key.

        Those behind ``after`` whose keys begin with ``prefix``; `object_pages` goes through all of them.
        """

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Return the fingerprints of these objects, as far as they are known, and when somebody last told of each.

        That is in seconds since the epoch, 0 where it is not known.
        """

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        """Make a part ours: from now on only batches with the epoch that is returned are taken from it.

        A part that the store does not know is made, beginning at `start`; without `start` nothing is made, and ``next``
        is None. ``topic_id`` tells a part from another one of the same name (a topic's id); what is returned is the
        one the store knows. A part of another topic_id is not claimed (its epoch stays). Blocks until it is durable.
        """

    def readers(self, source: str, reader: str) -> Sequence[str]:
        """Record that ``reader`` reads a source, and return all that do, in the same order for each of them.

        To be called every second. Raise Overloaded while the store does not answer.
        """

    def leave(self, source: str, reader: str) -> None:
        """Record that ``reader`` has stopped, so that the others take its parts at once. Raise as `readers` does."""

    def queries(self, source: str) -> Collection[Query]:
        """Return what rules want a source to be asked, as they are now, if its last answer has been taken in.

        Raise Overloaded while the store cannot be read.
        """

    def parts(self, source: str) -> dict[str, int]:
        """Return the parts that are known, with the first position of each that is not stored.

        Raise Overloaded while the store cannot be read.
        """


def object_pages(intake: Intake, source: str, prefix: str = "") -> Iterator[dict[str, str]]:
    """All that a listing source stored, in the order of keys, in short reads: each page is as things stand by then."""
    after = ""
    while page := intake.objects(source, after=after, prefix=prefix):
        yield page
        after = next(reversed(page))


class Source(Protocol):
    """An adapter with a thread of its own."""

    name: str

    @property
    def last_error(self) -> str | None:
        """What keeps it from its work right now, in words; None if nothing does."""

    @property
    def poll_errors(self) -> int:
        """How many looks at what it listens to have failed since it was made."""

    @property
    def lag(self) -> int | None:
        """How many records wait to be taken in, where that can be known."""

    @property
    def halted(self) -> Mapping[str, str]:
        """Parts that it does not read until somebody decides how to go on, with the reason of each."""

    def start(self) -> None:
        """Begin to report."""

    def stop(self) -> None:
        """Take nothing more in, and return once what was under way is settled."""
