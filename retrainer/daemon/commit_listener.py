"""Reports committed changes to the log and the metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine.core import notifications as n
from retrainer.rules.outcome import Kind, Reason
from retrainer.runs.run import Run, RunPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrainer.telemetry.metrics import Metrics

log = structlog.get_logger()

MOST_UNKNOWN = 1000
"""Maximum number of Workflows of unknown runs that are logged."""
_RULE = {kind: f"rule.{kind.value}" for kind in Kind}
_RUN = {phase: f"run.{phase.value.lower()}" for phase in RunPhase}


class CommitListener:
    """A listener of the engine. Every log line about a run has rule, key, run and workflow."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reports: Mapping[type[n.Notification], Callable[[Any, float], None]] = {
            n.EventsTaken: self._events_taken,
            n.DecisionMade: self._decided,
            n.EventDeadLettered: _dead_lettered,
            n.DeadLettersDropped: self._dropped,
            n.OwnOutputSkipped: self._own_output,
            n.InputLeftOut: self._left_out,
            n.SlotSettled: _slot_settled,
            n.BackfillRequested: _backfill_requested,
            n.RequestsWithdrawn: _withdrawn,
            n.RunCreated: self._created,
            n.RunMoved: self._moved,
            n.PromotionRecorded: _promotion_recorded,
            n.RunEnded: self._ended,
            n.UnknownRunObserved: self._unknown_run,
            n.ActRecorded: _act_recorded,
        }
        self._unknown: set[str] = set()
        """Uids of Workflows of unknown runs that were logged."""

    def emitted(self, notification: n.Notification, now: float) -> None:
        self._reports[type(notification)](notification, now)

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        self._metrics.engine.committed(seconds, waited, queued)

    def _events_taken(self, taken: n.EventsTaken, now: float) -> None:
        self._metrics.sources.event_outcome(taken.source, taken.outcome, taken.count, now)

    def _decided(self, made: n.DecisionMade, now: float) -> None:
        decision = made.decision
        self._metrics.rules.decided(made.rule, decision.kind.value, decision.reason.value, made.count, now)
        write = log.debug if decision.kind is Kind.HOLD else log.info
        facts = {"reason": decision.reason.value, "detail": decision.detail, "run": made.run}
        write(_RULE[decision.kind], rule=made.rule, key=made.key, **facts)

    def _dropped(self, dropped: n.DeadLettersDropped, _now: float) -> None:
        self._metrics.engine.dead_letters_dropped.inc(dropped.count)
        log.warning("dead_letters.dropped", count=dropped.count)

    def _own_output(self, skipped: n.OwnOutputSkipped, _now: float) -> None:
        self._metrics.rules.own_outputs.add(skipped.rule, 1)
        facts = {"rule": skipped.rule, "trigger": skipped.trigger, "said": skipped.evidence}
        log.debug("event.own_output", id=skipped.event, **facts)

    def _left_out(self, left_out: n.InputLeftOut, _now: float) -> None:
        self._metrics.engine.inputs_left_out.labels(left_out.unit).inc()

    def _created(self, created: n.RunCreated, now: float) -> None:
        run = created.run
        self._metrics.rules.run_entered(run.rule, run.phase)
        late_on_purpose = run.retry_of is not None or run.reason == Reason.BACKFILL.value
        if run.scheduled_at is not None and not late_on_purpose:
            self._metrics.engine.schedule_lag(now - run.scheduled_at)

    def _moved(self, moved: n.RunMoved, now: float) -> None:
        run, phase = moved.run, moved.phase
        self._metrics.rules.run_entered(run.rule, phase)
        if phase is RunPhase.SUBMITTED and run.submitted_at is None:
            self._metrics.engine.submitted_after(now - run.created_at)
        if phase is RunPhase.RUNNING:  # earlier phases are logged by the submitter
            log.info(_RUN[phase], **_ids(run))

    def _ended(self, end: n.RunEnded, now: float) -> None:
        run, phase, values = end.run, end.phase, end.values
        started = values.get("started_at") or run.started_at or run.created_at
        ended = values.get("ended_at", now)
        self._metrics.rules.run_entered(run.rule, phase)
        self._metrics.rules.run_ended(run.rule, phase, ended - started, ended, values)
        write = log.info if phase in (RunPhase.SUCCEEDED, RunPhase.CANCELLED) else log.warning
        write(_RUN[phase], **_ids(run), message=end.message or None)
        self._metrics.rules.run_cost(run.rule, values.get("gpu_hours") or 0.0, promoted=values.get("promoted"))

    def _unknown_run(self, observed: n.UnknownRunObserved, _now: float) -> None:
        seen = observed.workflow
        if seen.uid not in self._unknown and len(self._unknown) < MOST_UNKNOWN:
            self._unknown.add(seen.uid)
            log.warning("workflow.unknown_run", namespace=seen.namespace, workflow=seen.name, run=seen.run)


def _ids(run: Run) -> dict[str, str]:
    return {"rule": run.rule, "key": run.key, "run": run.id, "workflow": run.workflow}


def _dead_lettered(letter: n.EventDeadLettered, _now: float) -> None:
    facts = {"source": letter.source, "reason": letter.reason, "error": letter.error, "rule": letter.rule}
    log.warning("event.dead_lettered", id=letter.event, **facts)


def _slot_settled(settled: n.SlotSettled, _now: float) -> None:
    record = settled.record
    if record.outcome == "fired":
        return
    facts = {"outcome": record.outcome, "reason": record.reason.value, "count": record.count}
    log.info("slot.not_run", rule=settled.rule, trigger=record.trigger, slot=record.slot, **facts)


def _backfill_requested(made: n.BackfillRequested, _now: float) -> None:
    facts = {"request": made.request, "by": made.by, "count": made.count}
    log.info("backfill.asked", rule=made.rule, key=made.key, **facts)


def _withdrawn(gone: n.RequestsWithdrawn, _now: float) -> None:
    facts = {"rule": gone.rule, "key": gone.key, "dropped": gone.dropped, "cancelled": gone.cancelled}
    log.info("manual.withdrawn" if gone.manual else "backfill.withdrawn", **facts)


def _act_recorded(act: n.ActRecorded, _now: float) -> None:
    log.info("api.act", **asdict(act))


def _promotion_recorded(recorded: n.PromotionRecorded, _now: float) -> None:
    log.info("run.promoted" if recorded.promoted else "run.not_promoted", **_ids(recorded.run))
