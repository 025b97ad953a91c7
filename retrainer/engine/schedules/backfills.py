"""Backfills, the manual requests for slots: preview, request, progress, withdrawal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, RowMapping, select
from ulid import ULID

from retrainer.engine.commands import requests
from retrainer.engine.commands.validation import check, check_room, rule_of
from retrainer.engine.core.notifications import BackfillRequested, RequestsWithdrawn
from retrainer.engine.retention import retention_marks
from retrainer.engine.runs.endings import stop_run
from retrainer.engine.runs.run_factory import build_run
from retrainer.engine.schedules import estimate, slots
from retrainer.rules.backfill import Planned, Slot, plan, schedules_of, slots_of
from retrainer.rules.fold import first_state
from retrainer.rules.outcome import Backfill, Decision, Kind, NewRun, Reason, Withdrawn
from retrainer.rules.state import ManualRequest, State
from retrainer.runs.run import RunPhase
from retrainer.store import run_statements, statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule

WITHDRAWN = "withdrawn before it started"
"""Message of a requested run that was withdrawn while it waited."""
_COUNTED = 20_000
"""Maximum number of runs read for one answer."""
_BEGINS = "backfill/"
"""Prefix of request names; the rule and the request follow."""
_ENDS = {RunPhase.SUCCEEDED: "succeeded", RunPhase.CANCELLED: "cancelled"}


@dataclass(frozen=True, slots=True)
class BackfillOrder:
    """A requested backfill: the slots from ``since`` to before ``until``, as read by `rules.backfill.moment_in`.

    ``trigger``: None for all schedules of the rule. ``rerun``: also run slots that ran before. ``by``: the requester.
    """

    rule: str
    key: str
    since: str
    until: str | None = None
    trigger: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    rerun: bool = False
    by: str = ""


def preview(tx: Transaction, order: BackfillOrder) -> dict[str, Any]:
    """Return the planned slots and an estimate, and start nothing. Raise LookupError or ValueError like `ask`."""
    rule, state, planned = _plan(tx, order)
    return {**_answer(order, planned), **estimate.of(tx, rule, order.key, state, sum(one.runs for one in planned))}


def ask(tx: Transaction, order: BackfillOrder, once: str | None = None) -> dict[str, Any]:
    """Queue the slots for their runs. A repeated ``once`` returns the same answer and starts nothing.

    Raise LookupError for an unknown rule or key, ValueError for an invalid request (the message says how to fix it).
    """
    request = _name(order, once) if once is not None else str(ULID.from_timestamp(tx.now))
    name = f"{_BEGINS}{order.rule}/{request}"
    if (known := requests.known(tx.conn, name)) is not None:
        if known.asked["digest"] != _digest(order):
            raise ValueError("this Idempotency-Key was used for another backfill of the rule: use a new one")
        return known.answer
    rule, state, planned = _plan(tx, order)
    wanted = tuple((one.trigger, one.slot) for one in planned if one.runs)
    check_room(rule, state, len(wanted), order.parameters)
    answer = {**_answer(order, planned), **estimate.of(tx, rule, order.key, state, len(wanted)), "request": request}
    asked = {"by": order.by, "digest": _digest(order), "slots": wanted}
    requests.remember(tx, (order.rule, order.key), name, asked, answer)
    if wanted:
        tx.writes.emit(BackfillRequested(order.rule, order.key, request, order.by, len(wanted)))
        tx.take(order.rule, order.key, Backfill(wanted, dict(order.parameters), request, order.by))
    return answer


def withdraw(tx: Transaction, name: str, key: str, *, manual: bool = False) -> dict[str, Any]:
    """Drop what has not started of all backfills of the key: waiting slots, and runs that wait for admission.

    With ``manual``, drop waiting manual runs instead. ``left`` in the answer is the number of runs that the budget of
    this transaction did not cover: call again.
    """
    rule_of(tx, name)
    entry = tx.states.known(name, key)
    waiting = [a for a in entry.state.asked if a.backfill != manual] if entry is not None else []
    if waiting:
        tx.take(name, key, Withdrawn(manual))
    tx.writes.flush_runs()
    live = run_statements.live_runs(tx.conn, name, key)
    reason = (Reason.MANUAL if manual else Reason.BACKFILL).value
    created = [run for run in live if run.phase is RunPhase.PENDING and run.reason == reason]
    cancelled = 0
    for run in created:
        if cancelled and not tx.budget.spend():
            break
        stop_run(tx, run, "Stop", WITHDRAWN)
        tx.settle()  # fold the effects of this end before the next check of the budget
        cancelled += 1
    tx.writes.emit(RequestsWithdrawn(name, key, manual, len(waiting), cancelled))
    left = len(created) - cancelled
    return {"rule": name, "key": key, "dropped": len(waiting), "cancelled": cancelled, "left": left}


def progress(conn: Connection, name: str, key: str, request: str | None = None) -> dict[str, Any]:
    """Return the progress of a backfill, by default the last one. Raise LookupError if it is unknown or was pruned."""
    begins = f"{_BEGINS}{name}/"
    found = requests.last(conn, name, key, begins + (request or ""))
    if found is None:
        named = f" {request}" if request is not None else ""
        raise LookupError(f"there is no backfill{named} of {name}{f'[{key}]' if key else ''}")
    request = found.name.removeprefix(begins)
    state = statements.state_of(conn, name, key)
    waiting = {(a.trigger, a.scheduled_at) for a in (state.asked if state else ()) if a.request == request}
    runs = {(run["trigger"], run["scheduled_at"]): run for run in _runs(conn, name, key, request, found.at)}
    items = [_standing(tuple(slot), waiting, runs) for slot in found.asked["slots"]]
    counted = Counter(item["state"] for item in items)
    return {
        "rule": name,
        "key": key,
        "request": request,
        "asked_at": found.at,
        "by": found.asked["by"],
        "total": len(items),
        **{word: counted[word] for word in ("waiting", "running", "succeeded", "failed", "cancelled", "dropped")},
        "ended": not counted["waiting"] and not counted["running"],
        "slots": items,
    }


def _plan(tx: Transaction, order: BackfillOrder) -> tuple[CompiledRule, State, list[Planned]]:
    rule = rule_of(tx, order.rule)
    check(rule, order.key, order.parameters)
    found = slots_of(schedules_of(rule, order.trigger), order.since, order.until, tx.now)
    if rule.rule.mode == "shadow":
        raise ValueError(f"{rule.name} is in mode shadow and submits nothing: set mode: active first")
    root, own = (tx.states.known(rule.name, k) for k in ("", order.key))
    if own is None and order.key:
        raise LookupError(f"{rule.name} has no key {order.key!r} (any more)")
    fresh = first_state(rule, order.key, tx.now)
    states = (own.state if own is not None else fresh, root.state if root is not None else fresh)
    tx.writes.flush_slots()
    tx.writes.flush_runs()
    known = slots.known(tx.conn, rule, order.key, found, states, retention_marks.slots_forgotten(tx.conn, rule.name))
    planned = plan(rule, found, known, rerun=order.rerun)
    _render_first(tx, rule, order, planned)
    return rule, states[0], planned


def _render_first(tx: Transaction, rule: CompiledRule, order: BackfillOrder, planned: Sequence[Planned]) -> None:
    """Raise ValueError if the parameters of the first run cannot be rendered, as those of the others would fail too."""
    first = next((one for one in planned if one.runs), None)
    entry = tx.states.known(rule.name, order.key)
    if first is None or entry is None:
        return
    asked = ManualRequest(order.parameters, tx.now, by=order.by, trigger=first.trigger, scheduled_at=first.slot)
    new_run = NewRun(first.trigger, (first.trigger,), scheduled_at=first.slot, parameters=order.parameters, asked=asked)
    decision = Decision(Kind.FIRE, Reason.BACKFILL, new_run=new_run)
    build_run(tx, rule, order.key, entry.id, decision, str(ULID.from_timestamp(tx.now)))


def _answer(order: BackfillOrder, planned: Sequence[Planned]) -> dict[str, Any]:
    items = [
        {"trigger": one.trigger, "slot": one.slot, "runs": one.runs, "why": one.why, "run": one.run} for one in planned
    ]
    count = sum(one.runs for one in planned)
    return {"rule": order.rule, "key": order.key, "request": None, "count": count, "slots": items}


def _name(order: BackfillOrder, once: str) -> str:
    return sha256(f"{order.rule}\n{order.key}\n{once}".encode()).hexdigest()[:26]


def _digest(order: BackfillOrder) -> str:
    asked = (order.since, order.until, order.trigger, dict(order.parameters), order.rerun)
    return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _runs(conn: Connection, rule: str, key: str, request: str, at: float) -> list[RowMapping]:
    """Return the runs of a backfill and their retries, by id and thus by time of creation."""
    c = t.runs.c
    first = str(ULID.from_timestamp(at))[:10]
    columns = select(c.id, c.trigger, c.scheduled_at, c.phase, c.cause)
    later = columns.where(c.rule == rule, c.key == key, c.id >= first).order_by(c.id).limit(_COUNTED).subquery()
    of_request = select(later).where(later.c.cause.contains(request, autoescape=True))
    return list(conn.execute(of_request.order_by(later.c.id)).mappings())


def _standing(slot: Slot, waiting: set[tuple[str, float | None]], runs: Mapping[Slot, RowMapping]) -> dict[str, Any]:
    run = runs.get(slot)
    state = "waiting" if slot in waiting else "dropped"
    if run is not None:
        phase = RunPhase(run["phase"])
        state = _ENDS.get(phase, "failed") if phase.terminal else "running"
    ids = {"run": run["id"], "phase": run["phase"]} if run is not None else {"run": None, "phase": None}
    return {"trigger": slot[0], "slot": slot[1], "state": state, **ids}
