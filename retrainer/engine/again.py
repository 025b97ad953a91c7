"""Replays: events that are read again, for rules that did not count them yet.

The ledger knows which (rule, key) counted an event. Where it was pruned it cannot know any more: such an event is taken
only for rules that are younger than the ledger, and is `unknown` to the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from retrainer.engine import horizon, parts
from retrainer.engine.matching import match
from retrainer.event import Event
from retrainer.sources.formats.s3 import about
from retrainer.store import writes
from retrainer.store.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.engine.matching import Hits
    from retrainer.engine.work import Work
    from retrainer.event import Poison
    from retrainer.sources.base import Again


class Replay:
    """Judges the items of one batch."""

    def __init__(self, work: Work, again: Again) -> None:
        self._work, self._again = work, again
        self._pruned_to = horizon.pruned_to(work.conn)
        self._stored: dict[str, dict[str, int]] = {}

    def judge(self, item: Event | Poison) -> tuple[str, Hits]:
        """The outcome, and what has still to be folded in.

        `ignored` for what cannot be read (it is a dead letter already) or is still to be read live, `duplicate` for
        what all rules that want it have counted, `unknown` for what they may have counted.
        """
        if not isinstance(item, Event) or self._still_to_come(item):
            return "ignored", {}
        hits, word = match(self._work, item, self._again.rules)
        if not hits:
            return word, {}
        told = self._told(item)
        counted = {(rule, key) for rules in told for rule, key in rules}
        left = {where: hit for where, hit in hits.items() if where not in counted}
        if not left:
            return "duplicate", {}
        certain = {where: hit for where, hit in left.items() if told or not self._may_have_counted(where[0])}
        return ("matched", certain) if certain else ("unknown", {})

    def _still_to_come(self, event: Event) -> bool:
        """A record beyond what is stored will be read without us."""
        kafka = event.attributes.get("kafka")
        if not kafka:
            return False
        if event.source not in self._stored:
            self._stored[event.source] = parts.known(self._work.conn, event.source)
        following = self._stored[event.source].get(f"{kafka['topic']}/{kafka['partition']}")
        return following is None or kafka["offset"] >= following

    def _told(self, event: Event) -> list[list[list[str]]]:
        """For each time the event was taken in, which (rule, key) counted it."""
        conn, data = self._work.conn, event.data
        self._work.flush_inputs()
        if event.type.startswith("s3:"):
            rows = writes.said_of_object(conn, event.source, about(data["bucket"], data["key"]))
            return [orjson.loads(row.rules) for row in rows if _same(unpack(row.data), data)]
        return [orjson.loads(row.rules) for row in writes.said_of(conn, event.source, event.id)]

    def _may_have_counted(self, rule: str) -> bool:
        """The rule was there when the last event arrived that the ledger has lost since."""
        if self._pruned_to is None:
            return False
        seen_at = horizon.first_seen(self._work.conn, rule)
        return seen_at is not None and seen_at <= self._pruned_to


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """The same content of the same object: ids of other objects may begin like its own."""
    return all(one.get(name) == other.get(name) for name in ("bucket", "key", "etag"))
