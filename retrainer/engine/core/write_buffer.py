"""The rows that a transaction will write. They are staged, and written together for each table."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.engine.core.notifications import DeadLettersDropped, Notification, SlotSettled
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
"""Minimum seconds between two updates of when a source was last seen. `max_silence` is typically hours."""


class WriteBuffer:
    """``notifications`` are what listeners (metrics, log) receive after the commit."""

    STAGED = (
        "counters",
        "created",
        "notifications",
        "rows",
        "events",
        "inputs",
        "arrived",
        "seen_at",
        "admitted",
        "fans_out",
        "_written",
        "_decisions",
    )

    def __init__(self, conn: Connection, counters: dict[str, int], now: float) -> None:
        self.conn = conn
        self.now = now
        self.counters = dict(counters)
        self.created: dict[str, Run] = {}
        self.notifications: list[Notification] = []
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.events: list[tuple[Any, ...]] = []
        """Rows of the ledger as tuples in column order, like ``inputs``, because there may be many."""
        self.inputs: list[tuple[int, int]] = []
        self.arrived: dict[int, Event] = {}
        """The events of this transaction that concern a rule, by `seq`."""
        self.seen_at: ChainMap[str, float] = ChainMap()
        """Stored time of the last input of each source (epoch seconds). Changes go into the first map."""
        self.admitted = False
        """Whether this transaction leaves newly admitted runs in the store to be claimed."""
        self.fans_out = False
        """Whether fan-outs were staged that the transaction has not continued yet."""
        self.dead_letters_limit = 1 << 62
        """Maximum total size of the dead letters, in bytes."""
        self.written_out: tuple[Event, bytes] | None = None
        """The last dead-lettered event and its stored form, reused because many rules may fail on one event."""
        self._decisions: dict[int, dict[str, Any]] = {}
        self._written: dict[Any, Any] = {}
        """What `flush` last wrote, by the id of a decision or the (rule, key) of a state."""

    def number(self, kind: str) -> int:
        self.counters[kind] += 1
        return self.counters[kind]

    def emit(self, notification: Notification) -> None:
        self.notifications.append(notification)

    @property
    def staged(self) -> tuple[int, ...]:
        """Counts that change whenever something is staged. Every event and every input of one has a number."""
        rows = sum(map(len, self.rows.values()))
        return (*self.counters.values(), len(self.notifications), len(self.created), len(self.inputs), rows)

    def mark_seen(self, source: str) -> None:
        """Record that a source has delivered something."""
        if self.now >= self.seen_at.get(source, 0.0) + SEEN_EVERY:
            self.seen_at[source] = self.now

    def journal(self, kind: str, rule: str, key: str, payload: dict[str, Any]) -> None:
        """Stage an entry. The journal and the events together are enough to repeat all decisions."""
        row = {"seq": self.number("seq"), "at": self.now, "rule": rule, "key": key, "kind": kind}
        self.rows["journal"].append({**row, "payload": dump(payload)})

    def record_slot(self, rule: str, key: str, record: SlotRecord, run: str | None) -> None:
        self.emit(SlotSettled(rule, record))
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

    def add_fan_out(self, rule: str, trigger: str, slot: float, given: str | None = None) -> None:
        """Stage a fan-out, see `retrainer.engine.schedules.fan_out`: of a slot, or of an input in stored form."""
        row = {"rule": rule, "trigger": trigger, "slot": slot, "after": "", "input": given}
        self.rows["fan_outs"].append(row)
        self.fans_out = True

    def record_decision(self, rule: str, key: str, record: DecisionRecord, run: str | None) -> None:
        """Stage a decision: a new row, or an update of the existing one."""
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
        """Update ``first_at`` and ``count`` of a decision that this transaction has staged."""
        row = self._decisions[record.id]
        self._decisions[record.id] = {**row, "first_at": record.first_at, "count": record.count}

    def flush_inputs(self) -> None:
        """Write the staged events and inputs, so that later statements of this transaction can read them."""
        statements.append_all(self.conn, t.events, self.events)
        statements.append_all(self.conn, t.inputs, self.inputs)
        self.events.clear()
        self.inputs.clear()

    def newest_inputs(self, state: int, window: Window, fields: frozenset[str] | None) -> list[Event]:
        """Return the newest events of a window in ascending order.

        ``fields``: the needed fields of their data, None for all. If the window is one event that arrived in this
        transaction, the store is not read.
        """
        if len(window.ranges) == 1 and (only := self.arrived.get(window.ranges[0][0])) is not None:
            first, last = window.ranges[0]
            if first == last:
                return [only]
        return [event for _, event in self.numbered_inputs(state, window, fields)]

    def numbered_inputs(self, state: int, window: Window, fields: frozenset[str] | None) -> list[tuple[int, Event]]:
        """Return the same events from the ledger, each with its `seq`."""
        self.flush_inputs()
        return event_statements.newest_inputs(
            self.conn, state, window.ranges, MAX_EVENTS, fields=fields, room=MAX_EVENT_BYTES
        )

    def flush_runs(self) -> None:
        """Write the created runs, so that later statements of this transaction can read them."""
        self.admitted |= any(r.phase is RunPhase.PENDING and r.admitted_at is not None for r in self.created.values())
        statements.insert_all(self.conn, t.runs, [run_to_row(run) for run in self.created.values()])
        self.created.clear()

    def flush_slots(self) -> None:
        """Write the settled slots, so that later statements of this transaction can read them."""
        statements.insert_all(self.conn, t.slots, self.rows.pop("slots", []))

    def flush(self) -> None:
        """Write what was staged since the last flush."""
        self.flush_inputs()
        for source, at in self.seen_at.maps[0].items():
            event_statements.source_seen(self.conn, source, at)
        for name in ("journal", "slots", "fan_outs", "dead_letters", "activity"):
            rows = self.rows.pop(name, [])
            statements.insert_all(self.conn, t.metadata.tables[name], rows)
            if rows and name == "dead_letters":
                dropped = event_statements.drop_oldest_dead_letters(self.conn, self.dead_letters_limit)
                if dropped:
                    self.emit(DeadLettersDropped(dropped))
        self.flush_runs()
        statements.put_all(self.conn, t.decisions, list(self.unwritten(self._decisions).values()))

    def unwritten(self, staged: Mapping[K, V]) -> dict[K, V]:
        """Return the items that changed since the last flush, and mark them as written."""
        changed = {key: value for key, value in staged.items() if self._written.get(key) is not value}
        self._written.update(changed)
        return changed
