"""Convert the watcher's observations to transitions of runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine.core.containment import attempt, no_refusals, settled
from retrainer.engine.core.notifications import InputLeftOut, RunMoved, UnknownRunObserved
from retrainer.engine.runs.endings import end_run, end_unread
from retrainer.rules.outcome import Reopened
from retrainer.runs import times
from retrainer.runs.run import Run, RunPhase
from retrainer.store import run_statements
from retrainer.store.faults import of_whole
from retrainer.store.rows import dump

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.engine.core.transaction import Transaction
    from retrainer.workflows.base import Observed

log = structlog.get_logger()

_LIVE = {"": RunPhase.SUBMITTED, "Pending": RunPhase.SUBMITTED, "Running": RunPhase.RUNNING}
_ENDED = {"Succeeded": RunPhase.SUCCEEDED, "Failed": RunPhase.FAILED, "Error": RunPhase.ERROR}
_ORDER = (RunPhase.PENDING, RunPhase.SUBMITTING, RunPhase.SUBMITTED, RunPhase.RUNNING)


def observe(tx: Transaction, seen: Sequence[Observed]) -> None:
    """Fold observations in order. Those of unknown runs, or of another Workflow of the same name, are dropped."""
    tx.writes.flush_runs()
    runs = run_statements.runs_by_id(tx.conn, {o.run for o in seen if o.run})
    for o in seen:
        run = runs.get(o.run)
        if run is None or (run.uid is not None and run.uid != o.uid) or o.name != run.workflow:
            continue
        _contained(tx, run, o)
        refreshed = run_statements.run(tx.conn, run.id)
        if refreshed is not None:
            runs[run.id] = refreshed
    for o in seen:
        if o.run and o.run not in runs and o.phase in _LIVE and not (o.gone or o.deleting):
            tx.writes.emit(UnknownRunObserved(o))


def _contained(tx: Transaction, run: Run, o: Observed) -> None:
    """Fold one observation. If that fails, a run that ended is still ended; otherwise it waits for the next one."""
    if not tx.careful:
        with no_refusals():
            _observe_one(tx, run, o)
        return
    for unit in (_observe_one, _end_unread):
        try:
            attempt(tx, partial(settled, tx, partial(unit, run=run, o=o)))
        except Exception as error:
            if of_whole(error):
                raise
            log.exception("observation.raised", run=run.id, rule=run.rule, workflow=run.workflow, phase=o.phase)
            tx.writes.emit(InputLeftOut("Observed"))
        else:
            return


def _end_unread(tx: Transaction, run: Run, o: Observed) -> None:
    phase = RunPhase.UNKNOWN if o.gone else _ENDED.get(o.phase)
    if phase is not None and not run.phase.terminal:
        _, ended_at = times.span(o.started_at, o.finished_at, run.created_at, tx.now)
        end_unread(tx, run, phase, uid=o.uid, ended_at=ended_at)


def _observe_one(tx: Transaction, run: Run, o: Observed) -> None:
    if run.phase.terminal:
        _after_its_end(tx, run, o)
    elif o.gone:
        message = "the Workflow is gone, and its result is unknown"
        end_run(tx, run, RunPhase.UNKNOWN, message, by_request=False, gone=True)
    else:
        _move(tx, run, o)


def _after_its_end(tx: Transaction, run: Run, o: Observed) -> None:
    if run.uid is None and not o.gone:
        _late(tx, run, o)
    elif run.phase in (RunPhase.FAILED, RunPhase.ERROR) and _goes_on(o):
        _reopen(tx, run, o)


def _goes_on(o: Observed) -> bool:
    return o.phase in ("Pending", "Running") and not (o.deleting or o.gone)


def _move(tx: Transaction, run: Run, o: Observed) -> None:
    """Move the run forwards only: an observation may be older than the stored phase."""
    phase, message = _phase(run, o)
    if phase.terminal:
        end_run(tx, run, phase, message, by_request=run.stop_requested is not None, **_facts(run, o, tx.now))
    elif _ORDER.index(phase) > _ORDER.index(run.phase):
        submitted_at = tx.now if run.submitted_at is None else run.submitted_at
        run_statements.update_run(
            tx.conn,
            run.id,
            phase=phase.value,
            uid=o.uid,
            started_at=times.believed(o.started_at, run.created_at, tx.now),
            progress=o.progress,
            message=message,
            submitted_at=submitted_at,
        )
        tx.writes.emit(RunMoved(run, phase))


def _phase(run: Run, o: Observed) -> tuple[RunPhase, str]:
    if o.phase == "Succeeded":
        return RunPhase.SUCCEEDED, o.message
    if o.phase == "Failed":
        return (RunPhase.CANCELLED if o.stopped else RunPhase.FAILED), o.message
    if o.phase == "Error":
        return RunPhase.ERROR, o.message
    if o.deleting:
        return RunPhase.CANCELLED, f"the Workflow was deleted while {o.phase or 'Pending'}"
    return _LIVE.get(o.phase, run.phase), o.message


def _facts(run: Run, o: Observed, now: float) -> dict[str, Any]:
    started_at, ended_at = times.span(o.started_at, o.finished_at, run.created_at, now)
    return {
        "uid": o.uid,
        "started_at": run.started_at if started_at is None else started_at,
        "ended_at": ended_at,
        "submitted_at": run.submitted_at,
        "progress": o.progress,
        "outputs": dump(outputs(run.submit.get("outputs") or {}, o.outputs)),
        "resources": dump(dict(o.resources)),
    }


def outputs(wanted: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the outputs that a rule names, converted to their types. A value that does not convert stays text."""
    out: dict[str, Any] = {}
    for name, spec in wanted.items():
        text = given.get(spec["parameter"])
        if text is not None:
            out[name] = _typed(text, spec["type"])
    return out


def _typed(text: str, kind: str) -> Any:
    if kind == "boolean" and text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _late(tx: Transaction, run: Run, o: Observed) -> None:
    """Stop a Workflow that was created after its run ended: the answer to the create request was lost."""
    run_statements.update_run(tx.conn, run.id, uid=o.uid, released=False)
    if o.phase in _LIVE and not o.deleting:
        _reopen(tx, run, o)
        run_statements.update_run(tx.conn, run.id, stop_requested="Terminate")
        tx.stops = True


def _reopen(tx: Transaction, run: Run, o: Observed) -> None:
    """Reopen an ended run that `argo retry` continues. Its inputs were returned already and stay in the window."""
    run_statements.update_run(
        tx.conn, run.id, phase=_LIVE[o.phase].value, ended_at=None, taken="{}", window="{}", message="reopened"
    )
    tx.writes.emit(RunMoved(run, _LIVE[o.phase]))
    tx.take(run.rule, run.key, Reopened(run.id))
