"""The interface between sources and the engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from retrainer.event import Event, Poison
    from retrainer.util.clock import Clock


OBJECTS = 5000
"""Objects per page of a listing. The engine waits while a page is read."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The offset range of a batch in one partition of its source: from ``begin`` up to, not including, ``next``.

    Stored by compare-and-set, in the transaction that stores the items. The whole batch is rejected if ``epoch`` is not
    the last one that `Intake.claim` returned, or if ``begin`` is not the stored position. ``item_offsets`` has the
    offset of each item; without it the batch cannot be split.
    """

    part: str
    epoch: int
    begin: int
    next: int
    item_offsets: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class ReplayScope:
    """Limits a replay to ``rules``, and to the items that these rules have not counted yet.

    ``dry``: nothing is stored; the outcomes say what would happen. ``levels``: also update metrics and alerts, unless
    a newer value is stored. Without it levels stay as they are: last week's value is not today's.
    """

    rules: frozenset[str]
    dry: bool = False
    levels: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A query that a source polls: ``expr``, and ``sample_time``, which gives the time of its samples."""

    expr: str
    sample_time: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts of one source, stored in one transaction unless they take longer than a transaction may last.

    ``identity_window``: seconds for which event ids are remembered; 0 if the source itself recognises repeats.
    ``objects``: what a listing source saw, key to fingerprint, None for a deleted key; stored with the events.
    ``offsets``: the offset range that the items are from, for sources that have positions.
    ``tracked``: events are about objects. The store tracks which objects exist, and counts an object once that both a
    notification (``swept`` false) and a listing (``swept`` true) report.
    ``replay_scope``: the items are a replay.
    ``kept``: the rest is stored when a transaction ends early, so the batch can be split anywhere.
    """

    source: str
    items: Sequence[Event | Poison]
    identity_window: float = 604800.0
    objects: Mapping[str, str | None] = field(default_factory=dict)
    offsets: OffsetRange | None = None
    tracked: bool = False
    swept: bool = False
    replay_scope: ReplayScope | None = None
    kept: bool = False

    def splits_before(self, index: int) -> bool:
        """Whether the items before ``index`` can be committed alone: no double counts if the rest is never stored."""
        if self.offsets is not None:
            of = self.offsets.item_offsets
            return bool(of) and of[index] > of[index - 1]
        return self.kept or self.identity_window > 0

    def rest(self, index: int) -> Batch:
        """Return the batch from this item on."""
        offsets = self.offsets
        if offsets is not None:
            offsets = replace(offsets, begin=offsets.item_offsets[index], item_offsets=offsets.item_offsets[index:])
        return replace(self, items=self.items[index:], offsets=offsets)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claimed partition. ``next``: the first position that is not stored, None for a new partition."""

    next: int | None
    epoch: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The batch is durable. ``outcomes`` has one word for each item.

    The words: matched, filtered, duplicate, dead_lettered, ignored.
    """

    outcomes: Sequence[str]


class PositionLost(Exception):
    """The partition was claimed by another reader, or moved. Nothing of the batch was stored."""


class Overloaded(Exception):
    """The engine's queue is full. Nothing was stored. Retry after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the engine is behind; retry in {retry_after:g} s")
        self.retry_after = retry_after


class Intake(Protocol):
    def offer(self, batch: Batch) -> Future[Receipt]:
        """Queue a batch. The future resolves when it is durable, or raises why it is not. Raise Overloaded at once."""

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        """Return one page of what a listing source stored last, key to fingerprint: at most `OBJECTS`, ordered by key.

        The page begins behind ``after`` and holds keys with ``prefix`` only. `object_pages` iterates over all pages.
        """

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Return the fingerprint of each known object, and the time of its last report.

        The time is in seconds since the epoch, 0 if it is not known.
        """

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        """Claim a partition: from now on only batches with the returned epoch are accepted for it.

        An unknown partition is created with position `start`; without `start` nothing is created and ``next`` is None.
        ``topic_id`` distinguishes partitions of the same name (a topic's id); the returned one is the stored one. If
        they differ, the partition is not claimed and its epoch stays. Blocks until the claim is durable.
        """

    def readers(self, source: str, reader: str) -> Sequence[str]:
        """Record that ``reader`` reads a source. Return all its readers, in the same order for each of them.

        Call it every second. Raise Overloaded while the store does not answer.
        """

    def leave(self, source: str, reader: str) -> None:
        """Record that ``reader`` has stopped, so that others take its partitions at once. Raise as `readers` does."""

    def queries(self, source: str) -> Collection[Query]:
        """Return the queries that the current rules want polled, except those whose last answer is still processed.

        Raise Overloaded while the store cannot be read.
        """

    def parts(self, source: str) -> dict[str, int]:
        """Return the known partitions, each with its first position that is not stored.

        Raise Overloaded while the store cannot be read.
        """


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What every source gets: its name, where it reports, and the folder that relative paths begin at.

    ``sweeps``: an S3 source also lists its buckets; one replica does so for all.
    """

    name: str
    intake: Intake
    clock: Clock
    base_folder: Path
    sweeps: bool = True


def object_pages(intake: Intake, source: str, prefix: str = "") -> Iterator[dict[str, str]]:
    """Iterate over all that a listing source stored, by key, in short reads. Each page is as of its own read."""
    after = ""
    while page := intake.objects(source, after=after, prefix=prefix):
        yield page
        after = next(reversed(page))


class Source(Protocol):
    """An adapter with its own thread."""

    name: str

    @property
    def last_error(self) -> str | None:
        """The problem that stops it now, as text; None if there is none."""

    @property
    def poll_errors(self) -> int:
        """Number of failed polls since the source was created."""

    @property
    def lag(self) -> int | None:
        """Number of records that are not stored yet; None if not known."""

    @property
    def lag_is_shared(self) -> bool:
        """Whether every replica reports the same `lag`, that of a queue; else each that of its own partitions."""

    @property
    def halted(self) -> Mapping[str, str]:
        """Partitions that are not read until an operator decides, each with the reason."""

    def start(self) -> None:
        """Start reporting."""

    def stop(self) -> None:
        """Accept nothing more. Return once batches in flight are settled."""
