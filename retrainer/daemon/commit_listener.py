"""Reports committed changes to the log and the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from retrainer.rules.outcome import Kind, Reason
from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrainer.rules.outcome import SlotRecord
    from retrainer.runs.run import Run
    from retrainer.telemetry.metrics import Metrics

log = structlog.get_logger()

_RULE = {kind: f"rule.{kind.value}" for kind in Kind}
_RUN = {phase: f"run.{phase.value.lower()}" for phase in RunPhase}


class CommitListener:
    """A `Listener` of the engine. Every log line about a run has rule, key, run and workflow."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tellers: dict[str, Callable[[dict[str, Any], float], None]] = {
            "events": lambda f, now: metrics.sources.event_outcome(f["source"], f["outcome"], f["count"], now),
            "decided": self._decided,
            "dead_letter": _dead_letter,
            "dead_letters.dropped": self._dropped,
            "own_output": self._own_output,
            "left_out": lambda f, _: metrics.engine.inputs_left_out.labels(f["unit"]).inc(),
            "slot": _slot,
            "backfill.asked": lambda f, _: log.info("backfill.asked", **f),
            "backfill.withdrawn": lambda f, _: log.info("backfill.withdrawn", **f),
            "manual.withdrawn": lambda f, _: log.info("manual.withdrawn", **f),
            "run.created": lambda f, now: self._created(f["run"], now),
            "run.moved": lambda f, now: self._moved(f["run"], f["phase"], now),
            "run.judged": _judged,
            "run.ended": self._ended,
        }

    def emitted(self, what: str, facts: dict[str, Any], now: float) -> None:
        teller = self._tellers.get(what)
        if teller is not None:
            teller(facts, now)

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        self._metrics.engine.committed(seconds, waited, queued)

    def _decided(self, facts: dict[str, Any], now: float) -> None:
        rule, decision = facts["rule"], facts["decision"]
        self._metrics.rules.decided(rule, decision.kind.value, decision.reason.value, facts["count"], now)
        say = log.debug if decision.kind is Kind.HOLD else log.info
        said = {"reason": decision.reason.value, "detail": decision.detail, "run": facts["run"]}
        say(_RULE[decision.kind], rule=rule, key=facts["key"], **said)

    def _dropped(self, facts: dict[str, Any], _now: float) -> None:
        self._metrics.engine.dead_letters_dropped.inc(facts["count"])
        log.warning("dead_letters.dropped", count=facts["count"])

    def _own_output(self, facts: dict[str, Any], _now: float) -> None:
        self._metrics.rules.own_outputs.add(facts["rule"], 1)
        log.debug("event.own_output", id=facts["event"], **{k: v for k, v in facts.items() if k != "event"})

    def _created(self, run: Run, now: float) -> None:
        self._metrics.rules.run_entered(run.rule, run.phase)
        late_on_purpose = run.retry_of is not None or run.reason == Reason.BACKFILL.value
        if run.scheduled_at is not None and not late_on_purpose:
            self._metrics.engine.schedule_lag(now - run.scheduled_at)

    def _moved(self, run: Run, phase: RunPhase, now: float) -> None:
        self._metrics.rules.run_entered(run.rule, phase)
        if phase.value == "SUBMITTED" and run.submitted_at is None:
            self._metrics.engine.submitted_after(now - run.created_at)
        if phase is RunPhase.RUNNING:  # earlier phases are logged by the submitter
            log.info(_RUN[phase], **_ids(run))

    def _ended(self, facts: dict[str, Any], now: float) -> None:
        run, phase, values = facts["run"], facts["phase"], facts["values"]
        started = values.get("started_at") or run.started_at or run.created_at
        ended = values.get("ended_at", now)
        self._metrics.rules.run_entered(run.rule, phase)
        self._metrics.rules.run_ended(run.rule, phase, ended - started, ended, values)
        say = log.info if phase in (RunPhase.SUCCEEDED, RunPhase.CANCELLED) else log.warning
        say(_RUN[phase], **_ids(run), message=facts["message"] or None)
        self._metrics.rules.run_cost(run.rule, facts["gpu_hours"], promoted=facts["promoted"])


def _ids(run: Run) -> dict[str, str]:
    return {"rule": run.rule, "key": run.key, "run": run.id, "workflow": run.workflow}


def _dead_letter(facts: dict[str, Any], _now: float) -> None:
    log.warning("event.dead_lettered", id=facts["event"], **{k: v for k, v in facts.items() if k != "event"})


def _slot(facts: dict[str, Any], _now: float) -> None:
    record: SlotRecord = facts["record"]
    if record.outcome == "fired":
        return
    said = {"outcome": record.outcome, "reason": record.reason.value, "count": record.count}
    log.info("slot.not_run", rule=facts["rule"], trigger=record.trigger, slot=record.slot, **said)


def _judged(facts: dict[str, Any], _now: float) -> None:
    log.info("run.promoted" if facts["promoted"] else "run.not_promoted", **_ids(facts["run"]))
