"""Events in: de-duplicate, append to the ledger, match, fold. Each ends in exactly one outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine import parts
from retrainer.event import Event, Poison
from retrainer.rules.outcome import Arrived
from retrainer.sources.base import PositionLost
from retrainer.store import tables as t
from retrainer.store import writes
from retrainer.store.rows import dump, event_to_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.engine.work import Work
    from retrainer.rules.compile import CompiledData
    from retrainer.sources.base import Batch

log = structlog.get_logger()

PRECEDENCE = ("matched", "filtered", "duplicate", "dead_lettered", "ignored")
MAX_PAYLOAD = 1 << 20


@dataclass(slots=True)
class Hit:
    """What one (rule, key) makes of an event."""

    size: int
    rows: int
    triggers: list[str] = field(default_factory=list)


def take_in(work: Work, batches: Sequence[Batch]) -> list[list[str] | PositionLost]:
    """Fold batches in, in order; the outcomes of each. Nothing in an event can stop the others."""
    outcomes: list[list[str] | PositionLost] = []
    known = _known(work, batches)
    repeated: list[dict[str, Any]] = []
    fresh: list[dict[str, Any]] = []
    for batch in batches:
        if batch.stretch is not None and not parts.move(work.conn, batch.source, batch.stretch):
            outcomes.append(PositionLost(f"{batch.source}: {batch.stretch.part} is somebody else's by now"))
            continue
        words: list[str] = []
        for item in batch.items:
            identity = {"source": item.source, "id": item.id}
            if batch.identity_window > 0 and isinstance(item, Event):
                sight = {"seen_at": work.now, "forget_at": work.now + batch.identity_window}
                if item.id in known[item.source]:
                    repeated.append({"b_source": item.source, "b_id": item.id, **sight})
                    words.append("duplicate")
                    continue
                known[item.source].add(item.id)
                fresh.append({**identity, **sight, "seq": work.counters["seq"] + 1})
            words.append(_take_one(work, item))
        if batch.objects:
            writes.store_objects(work.conn, batch.source, batch.objects)
        for word in PRECEDENCE:
            if n := words.count(word):
                work.tell("events", source=batch.source, outcome=word, count=n)
        outcomes.append(words)
    writes.insert_all(work.conn, t.identities, fresh)
    writes.seen_again(work.conn, repeated)
    return outcomes


def _known(work: Work, batches: Sequence[Batch]) -> dict[str, set[str]]:
    ids: dict[str, list[str]] = {}
    for batch in batches:
        for item in batch.items:
            found = ids.setdefault(item.source, [])
            if batch.identity_window > 0 and isinstance(item, Event):
                found.append(item.id)
    return {source: writes.known_ids(work.conn, source, wanted) for source, wanted in ids.items()}


def _take_one(work: Work, item: Event | Poison) -> str:
    if isinstance(item, Poison):
        dead_letter(work, item.source, item.id, "unreadable", item.error, item.payload)
        return "dead_lettered"
    seq = work.number("seq")
    hits, words = _match(work, item)
    label = str(item.data.get("key", item.subject))[:1024]
    outcome = "matched" if hits else next((w for w in PRECEDENCE if w in words), "ignored")
    work.rows["events"].append(event_to_row(seq, work.now, item, outcome, list(hits)))
    for where in hits:  # before the fold: a run's parameters may read the very event that started it
        work.changed[where] = work.entry(work.catalog.rules[where[0]], where[1])
        work.rows["inputs"].append({"state": work.changed[where].id, "seq": seq})
    for (rule, key), hit in hits.items():
        try:
            work.take(rule, key, Arrived(seq, item.time, hit.size, hit.rows, label, tuple(hit.triggers)))
        except Exception as error:
            log.exception("event.raised", source=item.source, id=item.id, rule=rule)
            _dead(work, item, "raised", f"{type(error).__name__}: {error}", rule)
            work.flush_inputs()
            writes.take_back_input(work.conn, work.changed[rule, key].id, seq)
            if len(hits) == 1:
                outcome = "dead_lettered"
    return outcome


def _match(work: Work, event: Event) -> tuple[dict[tuple[str, str], Hit], list[str]]:
    """Which (rule, key) the event concerns, and what the other rules of its source said."""
    hits: dict[tuple[str, str], Hit] = {}
    words = ["filtered"] if event.source in work.catalog.index.sources else []
    for trigger in work.catalog.index.candidates(event):
        try:
            if not trigger.wants(event):
                continue
            key = trigger.key(event)
            size, rows = trigger.measure(event)
        except ValueError as error:
            _dead(work, event, "raised", str(error), trigger.rule)
            words.append("dead_lettered")
            continue
        if _too_many(work, trigger, key):
            words.append("dead_lettered")
            _dead(work, event, "too_many_keys", f"key {key!r} is one more than max_keys", trigger.rule)
            continue
        hits.setdefault((trigger.rule, key), Hit(size, rows)).triggers.append(trigger.name)
    if "dead_lettered" in words:
        words.remove("filtered")
    return hits, words


def _too_many(work: Work, trigger: CompiledData, key: str) -> bool:
    for_each = work.catalog.rules[trigger.rule].rule.for_each
    if for_each is None or work.known(trigger.rule, key) is not None:
        return False
    return work.keys(trigger.rule) >= for_each.max_keys


def _dead(work: Work, event: Event, reason: str, error: str, rule: str = "") -> None:
    payload = dump(
        {
            "type": event.type,
            "time": event.time,
            "subject": event.subject,
            "data": event.data,
            "attributes": event.attributes,
        }
    )
    dead_letter(work, event.source, event.id, reason, error, payload.encode(), rule)


def dead_letter(work: Work, source: str, event: str, reason: str, error: str, payload: bytes, rule: str = "") -> None:
    work.rows["dead_letters"].append(
        {
            "at": work.now,
            "source": source,
            "event": event,
            "reason": reason,
            "error": error,
            "payload": payload[:MAX_PAYLOAD],
            "rule": rule,
        }
    )
    work.tell("dead_letter", source=source, event=event, reason=reason, error=error, rule=rule)
