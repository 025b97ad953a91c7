"""What a transaction will write: rows are staged, and go to the store in one piece a table."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.rules.parameters import MAX_EVENT_BYTES, MAX_EVENTS
from retrainer.runs.run import Run, RunPhase
from retrainer.store import event_statements, statements
from retrainer.store import tables as t
from retrainer.store.rows import dump, run_to_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from retrainer.engine.core.state_cache import DecisionRecord
    from retrainer.event import Event
    from retrainer.rules.outcome import SlotRecord
    from retrainer.rules.window import Window

K = TypeVar("K")
V = TypeVar("V")

SEEN_EVERY = 1.0
"""Seconds between two notes that a source was heard of: whoever waits for a silence waits for hours."""


class WriteBuffer:
    """``told`` is what listeners (metrics, log) hear once it is committed."""

    def __init__(self, conn: Connection, counters: dict[str, int], now: float) -> None:
        self.conn = conn
        self.now = now
        self.counters = dict(counters)
        self.created: dict[str, Run] = {}
        self.emitted: list[tuple[str, dict[str, Any]]] = []
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.events: list[tuple[Any, ...]] = []
        """Rows of the ledger, columns in order; like ``inputs``, as there may be many."""
        self.inputs: list[tuple[int, int]] = []
        self.arrived: dict[int, Event] = {}
        """The events of this transaction that concern a rule, by `seq`."""
        self.seen_at: ChainMap[str, float] = ChainMap()
        """When something last came from a source, as it is stored; changes go into the first map."""
        self.admitted = False
        """Whether runs wait in the store to be claimed that did not before."""
        self.dead_letters_limit = 1 << 62
        """Bytes that all dead letters may take up together."""
        self.written_out: tuple[Event, bytes] | None = None
        """The last event of a dead letter, as these keep it: many rules may have failed on it."""
        self._decisions: dict[int, dict[str, Any]] = {}
        self._written: dict[Any, Any] = {}
        """What `flush` wrote last, by the id of a decision or the (rule, key) of a state."""

    def number(self, kind: str) -> int:
        self.counters[kind] += 1
        return self.counters[kind]

    def emit(self, what: str, **facts: Any) -> None:
        self.emitted.append((what, facts))

    @property
    def staged(self) -> tuple[int, ...]:
        """Changes with whatever is staged; counts, for whoever wants to know whether anything was."""
        rows = sum(map(len, self.rows.values()))
        return (*self.counters.values(), len(self.emitted), len(self.created), rows)

    def mark_seen(self, source: str) -> None:
        """Something came from it."""
        if self.now >= self.seen_at.get(source, 0.0) + SEEN_EVERY:
            self.seen_at[source] = self.now

    def journal(self, kind: str, rule: str, key: str, payload: dict[str, Any]) -> None:
        """With the events it is all that is needed to decide everything once more."""
        row = {"seq": self.number("seq"), "at": self.now, "rule": rule, "key": key, "kind": kind}
        self.rows["journal"].append({**row, "payload": dump(payload)})

    def record_slot(self, rule: str, key: str, record: SlotRecord, run: str | None) -> None:
        self.emit("slot", rule=rule, record=record)
        self.rows["slots"].append(
            {
                "rule": rule,
                "key": key,
                "trigger": record.trigger,
                "slot": record.slot,
                "until": record.until,
                "count": record.count,
                "outcome": record.outcome,
                "reason": record.reason.value,
                "run": run,
                "at": self.now,
            }
        )

    def record_decision(self, rule: str, key: str, record: DecisionRecord, run: str | None) -> None:
        """A new row, or the one that stands brought up to date."""
        decision = record.decision
        self._decisions[record.id] = {
            "id": record.id,
            "rule": rule,
            "key": key,
            "decision": decision.kind.value,
            "reason": decision.reason.value,
            "detail": decision.detail,
            "until": decision.until,
            "run": run,
            "first_at": record.first_at,
            "last_at": self.now,
            "count": record.count,
            "seq": self.counters["seq"],
        }

    def recount_decision(self, record: DecisionRecord) -> None:
        """It was reached more often, or for longer, than was recorded a moment ago."""
        row = self._decisions[record.id]
        self._decisions[record.id] = {**row, "first_at": record.first_at, "count": record.count}

    def flush_inputs(self) -> None:
        """What follows may read the events that this very transaction brought."""
        statements.append_all(self.conn, t.events, self.events)
        statements.append_all(self.conn, t.inputs, self.inputs)
        self.events.clear()
        self.inputs.clear()

    def newest_inputs(self, state: int, window: Window, fields: frozenset[str] | None) -> list[Event]:
        """The newest events of a window, oldest of them first; where it is one that has just come, it is at hand.

        Their data needs only ``fields``, all if None.
        """
        if len(window.ranges) == 1 and (only := self.arrived.get(window.ranges[0][0])) is not None:
            first, last = window.ranges[0]
            if first == last:
                return [only]
        return [event for _, event in self.numbered_inputs(state, window, fields)]

    def numbered_inputs(self, state: int, window: Window, fields: frozenset[str] | None) -> list[tuple[int, Event]]:
        """Return the same as the ledger has it, each with its number."""
        self.flush_inputs()
        return event_statements.newest_inputs(
            self.conn, state, window.ranges, MAX_EVENTS, fields=fields, room=MAX_EVENT_BYTES
        )

    def flush_runs(self) -> None:
        """What follows may concern a run that was born in this very transaction."""
        waits = any(r.phase is RunPhase.PENDING and r.admitted_at is not None for r in self.created.values())
        self.admitted = self.admitted or waits
        statements.insert_all(self.conn, t.runs, [run_to_row(run) for run in self.created.values()])
        self.created.clear()

    def flush_slots(self) -> None:
        """What follows may concern a slot that was settled in this very transaction."""
        statements.insert_all(self.conn, t.slots, self.rows.pop("slots", []))

    def flush(self) -> None:
        """Write what was staged since the last time."""
        self.flush_inputs()
        for source, at in self.seen_at.maps[0].items():
            event_statements.source_seen(self.conn, source, at)
        for name in ("journal", "slots", "fan_outs", "dead_letters"):
            rows = self.rows.pop(name, [])
            statements.insert_all(self.conn, t.metadata.tables[name], rows)
            if rows and name == "dead_letters":
                dropped = event_statements.drop_oldest_dead_letters(self.conn, self.dead_letters_limit)
                if dropped:
                    self.emit("dead_letters.dropped", count=dropped)
        self.flush_runs()
        statements.put_all(self.conn, t.decisions, list(self.unwritten(self._decisions).values()))

    def unwritten(self, staged: Mapping[K, V]) -> dict[K, V]:
        """What of this changed since the last time; from now on it counts as written."""
        changed = {key: value for key, value in staged.items() if self._written.get(key) is not value}
        self._written.update(changed)
        return changed
