"""The main loop of a source, over the lifetime of one consumer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from kafka.errors import (
    AuthorizationError,
    IllegalStateError,
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from retrainer.sources.base import Batch, OffsetRange, Overloaded, PositionLost, SourceContext
from retrainer.sources.formats.avro_schema import SchemaUnavailable
from retrainer.sources.kafka.broker_probe import BrokerProbe
from retrainer.sources.kafka.claims import PartitionClaims, moved, recreated
from retrainer.sources.kafka.commits import Commits
from retrainer.sources.kafka.consumer import client_id_of
from retrainer.sources.kafka.inflight import Inflight, InflightBatch
from retrainer.sources.kafka.partition_share import Share
from retrainer.sources.kafka.partitions import Part, park, part_name
from retrainer.sources.kafka.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kafka import KafkaConsumer, TopicPartition
    from kafka.consumer.fetcher import ConsumerRecord

    from retrainer.config.models import Topics
    from retrainer.event import Event, Poison
    from retrainer.sources.kafka.records import Reader

    Polled = dict[TopicPartition, list[ConsumerRecord]]

POLL_MS = 100
STALL = 0.25
"""Seconds to wait for the engine before partitions are paused."""
FEW = 5
BRIEFLY = 0.02
"""Seconds for which a few records leave the interpreter lock to the engine: polling on at once would take it from the
thread that decides on these records."""
LOOK_EVERY = 2.0
GRACE = 2.0
"""Seconds for batches in flight to be settled when the session ends."""
CLOSE_MS = 1500
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IntakeTerms:
    """Properties of a source's batches; see `Batch`."""

    identity_window: float
    tracked: bool = False


class KafkaSession:
    """``trouble``: the current problem, None if there is none. ``errors``: how many problems occurred."""

    def __init__(
        self,
        context: SourceContext,
        topics: Topics,
        consumer: KafkaConsumer,
        reader: Reader,
        terms: IntakeTerms,
    ) -> None:
        self.trouble: str | None = None
        self.errors = 0
        self.parts: dict[TopicPartition, Part] = {}
        name, intake, clock = context.name, context.intake, context.clock
        self._name, self._consumer, self._reader, self._terms = name, consumer, reader, terms
        self._intake, self._clock = intake, clock
        self._claims = PartitionClaims(name, consumer, Positions(name, consumer, intake, topics.start), clock)
        self._commits = Commits(name, consumer, clock)
        self._inflight = Inflight(intake, clock)
        self._probe = BrokerProbe(consumer, client_id_of(name), topics, clock)
        self._share = Share(name, consumer, topics, intake, clock)
        self._paused = False
        self._look_at = 0.0
        self._failed: str | None = None

    def turn(self) -> None:
        """Run one iteration. It takes about 100 ms if nothing is received."""
        self._settle()
        self._follow_share()
        self._look()
        for part in self._claims.claim_due(self.parts.values()):
            if not self._paused:
                self._consumer.resume(part.tp)
        polled = self._poll()
        self._take(polled)
        if 0 < sum(map(len, polled.values())) <= FEW:
            self._inflight.wait(BRIEFLY)
        self._commits.tell(self.parts.values())

    def close(self) -> None:
        """Let batches in flight be settled, within a grace period, and leave the partitions to other readers."""
        until = self._clock.monotonic() + GRACE
        self._inflight.drop_waiting()
        while not self._inflight.empty and (left := until - self._clock.monotonic()) > 0:
            self._inflight.wait(left)
            self._settle()
        self._share.leave()
        self._commits.tell_last(self.parts.values())
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_MS)

    def _settle(self) -> None:
        for inflight_batch, error in self._inflight.settled():
            part = inflight_batch.part
            if error is None and inflight_batch.batch.offsets is not None:
                if inflight_batch.valid:
                    part.stored = inflight_batch.batch.offsets.next
            elif inflight_batch.valid:
                self._claims.release(part)
                if not isinstance(error, PositionLost):
                    self._fail(f"{part.name} could not be stored: {error}")
        self._inflight.push()

    def _follow_share(self) -> None:
        if not self._share.look(reachable=not self._probe.silent):
            return
        assigned = self._share.assigned
        gone = [self.parts.pop(tp) for tp in list(self.parts) if tp not in assigned]
        self._commits.tell(gone, now=True)
        for part in gone:
            part.epoch = None  # batches in flight may still be stored: the store decides
        for tp in assigned - self.parts.keys():
            park(self._consumer, tp)
            self.parts[tp] = Part(tp, part_name(tp))

    def _poll(self) -> Polled:
        if self._inflight.full:
            self._inflight.wait(STALL)
            self._settle()
        self._pause(self._inflight.full)
        try:
            polled: Polled = self._consumer.poll(timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            for tp in error.args[0]:
                if tp in self.parts:
                    self._claims.release(self.parts[tp], wait=0.0)  # the next claim shows what is wrong with it
        except LogTruncationError as error:
            self._cut_off(error)
        except NoOffsetForPartitionError:
            pass  # a paused partition that is not claimed yet
        except AuthorizationError as error:
            self._fail(str(error))
        else:
            return polled
        return {}

    def _cut_off(self, error: LogTruncationError) -> None:
        way_out = f"decide with `retrainer sources reset {self._name} --partition"
        for tp in error.divergent_offsets:
            if tp in self.parts:
                part = self.parts[tp]
                reason = f"the log lost records that were read already (unclean leader election); {way_out} {part.name}"
                self._claims.cut(part, f"{reason} --to earliest|latest|OFFSET`")

    def _pause(self, pause: bool) -> None:
        if pause == self._paused:
            return
        held = [tp for tp, part in self.parts.items() if part.epoch is not None]
        (self._consumer.pause if pause else self._consumer.resume)(*held)
        self._paused = pause

    def _take(self, polled: Polled) -> None:
        for tp, records in polled.items():
            part = self.parts.get(tp)
            if part is not None and part.epoch is not None:
                self._hand_over(part, records)
        if not polled and not self._inflight.full:
            self._close_gaps()

    def _close_gaps(self) -> None:
        """Advance past positions without records: control records, aborted transactions, compaction."""
        for part in self.parts.values():
            if part.epoch is not None:
                self._hand_over(part, ())

    def _hand_over(self, part: Part, records: Sequence[ConsumerRecord]) -> None:
        following = self._position(part.tp)
        if part.epoch is None or following is None or following <= part.read:
            return
        if recreated(self._consumer, part.tp, part.topic_id):
            self._claims.release(part, wait=0.0)  # these records are of another topic of the same name
            return
        try:
            items, item_offsets = self._read(records, part.topic_id)
        except SchemaUnavailable as error:  # read again from the stored position once the schema is available
            self._claims.release(part)
            self._fail(str(error))
            return
        offsets = OffsetRange(part.name, part.epoch, part.read, following, item_offsets)
        batch = Batch(
            self._name,
            items,
            self._terms.identity_window,
            offsets=offsets,
            tracked=self._terms.tracked,
        )
        part.read = following
        size = sum(max(0, record.serialized_value_size) for record in records)
        self._inflight.put(InflightBatch(part, part.epoch, batch, size))

    def _read(self, records: Iterable[ConsumerRecord], topic_id: str) -> tuple[list[Event | Poison], list[int]]:
        """Return the items of these records, and the offset of each; one record may have many items."""
        now = self._clock.now()
        items: list[Event | Poison] = []
        item_offsets: list[int] = []
        for record in records:
            found = self._reader.items((record,), topic_id, now)
            items += found
            item_offsets += [record.offset] * len(found)
        return items, item_offsets

    def _position(self, tp: TopicPartition) -> int | None:
        try:
            position: int | None = self._consumer.position(tp, timeout_ms=0)
        except IllegalStateError:
            return None  # unassigned meanwhile
        return position

    def _look(self) -> None:
        """Check every two seconds for moved partitions, recreated topics, and unreachable brokers."""
        now = self._clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        stored = self._stored()
        for tp, part in self.parts.items():
            if recreated(self._consumer, tp, part.topic_id) and part.epoch is not None:
                self._claims.release(part, wait=0.0)
            elif moved(part, stored) and not self._inflight.carries(part):
                self._claims.release(part)
        waits = (part.waits for part in self.parts.values() if part.waits)
        trouble = self._probe.look() or self._failed or next(waits, None)
        self.errors += trouble is not None and trouble == self._failed
        self.trouble, self._failed = trouble, None

    def _stored(self) -> dict[str, int]:
        try:
            return self._intake.parts(self._name)
        except Overloaded:
            return {}  # moved partitions are found the next time

    def measure(self) -> int:
        """Update the ends of logs. Return the number of records that are not stored yet."""
        for tp, part in self.parts.items():
            try:
                part.end = max(part.end, self._consumer.highwater(tp) or 0)
            except (IllegalStateError, KafkaError):
                continue
        return sum(part.lag for part in self.parts.values())

    def _fail(self, reason: str) -> None:
        self._failed = self.trouble = reason
