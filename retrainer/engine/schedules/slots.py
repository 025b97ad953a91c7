"""Records of schedule slots. Each slot has exactly one record: its own, or that of a range of missed slots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, and_, delete, insert, select

from retrainer.rules.backfill import BackfillRecord, KnownSlot, Slot
from retrainer.rules.outcome import Reason, SlotRecord, Step
from retrainer.runs.run import Run, RunPhase
from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from retrainer.engine.core.write_buffer import WriteBuffer
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State

MISSED = "missed"


def known(
    conn: Connection,
    rule: CompiledRule,
    key: str,
    slots: Sequence[Slot],
    states: tuple[State, State],
    forgotten: tuple[float, float] | None,
) -> KnownSlot:
    """Return what the store holds about ``slots``.

    ``states``: the state of the key, and that of the rule, which has the schedule cursors.
    """
    state, root = states
    rows = _rows(conn, rule.name, ("", key), slots)
    own = {
        (row["trigger"], row["slot"]): row
        for row in sorted(rows, key=lambda row: row["key"])
        if row["outcome"] != MISSED
    }
    missed: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["outcome"] == MISSED:
            missed.setdefault(row["trigger"], []).append((row["slot"], row["until"]))
    spoken = [
        (row.trigger, row.slot)
        for row in statements.fan_outs(conn)
        if row.rule == rule.name and row.of_slot and row.after < key
    ]
    return KnownSlot(
        _records(conn, own.values()),
        missed,
        {name: cursor.at for name, cursor in root.cursors.items()},
        {*spoken, *((name, slot) for name, cursor in state.cursors.items() for slot in cursor.due)},
        {(a.trigger, a.scheduled_at) for a in state.asked if a.scheduled_at is not None},
        forgotten,
    )


def _rows(conn: Connection, rule: str, keys: Iterable[str], slots: Sequence[Slot]) -> list[RowMapping]:
    c = t.slots.c
    moments = [slot for _, slot in slots]
    if not moments:
        return []
    within = and_(c.slot <= max(moments), c.until >= min(moments))
    return list(conn.execute(select(t.slots).where(c.rule == rule, c.key.in_(set(keys)), within)).mappings())


def _records(conn: Connection, rows: Iterable[RowMapping]) -> dict[Slot, BackfillRecord]:
    """Return the record of each slot, with the last attempt of the chain of its run."""
    rows, c = list(rows), t.runs.c
    chains = {row["run"] for row in rows if row["run"] is not None}
    attempts = select(c.id, c.chain, c.phase, c.uid, c.submit_attempts).where(c.chain.in_(chains)).order_by(c.id)
    last = {run["chain"]: run for run in conn.execute(attempts).mappings()}
    return {(row["trigger"], row["slot"]): _record(row, last.get(row["run"])) for row in rows}


def _record(row: RowMapping, run: RowMapping | None) -> BackfillRecord:
    if run is None:
        return BackfillRecord(row["outcome"], row["reason"], row["run"])
    phase, first = RunPhase(run["phase"]), run["id"] == run["chain"]
    never = first and phase is RunPhase.CANCELLED and run["uid"] is None and run["submit_attempts"] == 0
    return BackfillRecord(row["outcome"], row["reason"], run["id"], phase.value, not phase.terminal, not never)


def settle(writes: WriteBuffer, rule: CompiledRule, key: str, done: Step, run_of: Mapping[int, Run]) -> None:
    """Record the slots that a step settled. ``run_of``: the created runs, by index of their decision in the step."""
    for record in done.slots:
        created = run_of.get(record.decision) if record.outcome == "fired" and record.decision is not None else None
        run = created.id if created is not None else None
        if record.reason is Reason.BACKFILL and not _gives_way(writes, rule, key, record, run):
            continue
        if record.outcome == "fired" and run is None:
            record = replace(record, outcome="skipped", reason=Reason.BAD_PARAMETERS)  # noqa: PLW2901
        writes.record_slot(rule.name, key, record, run)


def _gives_way(writes: WriteBuffer, rule: CompiledRule, key: str, record: SlotRecord, run: str | None) -> bool:
    """Whether to record a slot of a backfill. If no run was created, an existing record of the slot is kept."""
    writes.flush_slots()
    slot = (record.trigger, record.slot)
    if run is None and any(row["trigger"] == record.trigger for row in _rows(writes.conn, rule.name, (key,), [slot])):
        return False
    _make_room(writes.conn, rule, key, slot)
    return True


def _make_room(conn: Connection, rule: CompiledRule, key: str, slot: Slot) -> None:
    """Delete the existing record of this slot. A range of missed slots is split into the ranges around it."""
    for row in _rows(conn, rule.name, (key,), [slot]):
        if row["trigger"] == slot[0]:
            c = t.slots.c
            same = and_(c.rule == row["rule"], c.key == key, c.trigger == row["trigger"], c.slot == row["slot"])
            conn.execute(delete(t.slots).where(same))
            _put_back(conn, rule, row, slot[1])


def _put_back(conn: Connection, rule: CompiledRule, row: RowMapping, taken: float) -> None:
    schedule = rule.schedules.get(row["trigger"])
    if row["count"] == 1 or schedule is None:
        return
    before = schedule.slots.last(row["slot"] - 0.001, taken - 0.001)
    after = schedule.slots.after(taken)
    earlier = schedule.slots.count(row["slot"] - 0.001, before, row["count"] - 1) if before is not None else 0
    parts = [(row["slot"], before, earlier), (after, row["until"], row["count"] - 1 - earlier)]
    values = [
        {**row, "slot": first, "until": last, "count": count}
        for first, last, count in parts
        if count > 0 and first is not None and last is not None
    ]
    if values:
        conn.execute(insert(t.slots), values)
