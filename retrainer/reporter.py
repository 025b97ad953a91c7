"""What was committed, told to the log and to the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from retrainer.rules.outcome import Kind
from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.rules.outcome import Decision
    from retrainer.runs.run import Run
    from retrainer.telemetry.metrics import Metrics

log = structlog.get_logger()

_RULE = {kind: f"rule.{kind.value}" for kind in Kind}
_RUN = {phase: f"run.{phase.value.lower()}" for phase in RunPhase}


class Reporter:
    """A `Listener` of the engine. Every log line about a run carries rule, key, run and workflow."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def told(self, what: str, facts: dict[str, Any], now: float) -> None:
        if what == "events":
            self._metrics.event_outcome(facts["source"], facts["outcome"], facts["count"], now)
        elif what == "decided":
            self._decided(facts["rule"], facts["key"], facts["decision"], facts["run"], facts["count"], now)
        elif what == "dead_letter":
            log.warning("event.dead_lettered", id=facts["event"], **{k: v for k, v in facts.items() if k != "event"})
        elif what == "own_output":
            self._metrics.own_output(facts["rule"])
            log.debug("event.own_output", **facts)
        elif what == "slot":
            record = facts["record"]
            if record.outcome != "fired":
                log.info(
                    "slot.not_run",
                    rule=facts["rule"],
                    trigger=record.trigger,
                    slot=record.slot,
                    outcome=record.outcome,
                    reason=record.reason.value,
                    count=record.count,
                )
        elif what == "run.born":
            self._born(facts["run"], now)
        elif what == "run.moved":
            self._moved(facts["run"], facts["phase"], now)
        elif what == "run.judged":
            run = facts["run"]
            word = "run.promoted" if facts["promoted"] else "run.not_promoted"
            log.info(word, rule=run.rule, key=run.key, run=run.id, workflow=run.workflow)
        elif what == "run.ended":
            self._ended(facts["run"], facts["phase"], facts["message"], facts["values"], now)
            self._metrics.run_cost(facts["run"].rule, facts["gpu_hours"], promoted=facts["promoted"])

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        self._metrics.committed(seconds, waited, queued)

    def _decided(self, rule: str, key: str, decision: Decision, run: str | None, count: int, now: float) -> None:
        self._metrics.decided(rule, decision.kind.value, decision.reason.value, count, now)
        say = log.debug if decision.kind is Kind.HOLD else log.info
        say(
            _RULE[decision.kind],
            rule=rule,
            key=key,
            reason=decision.reason.value,
            detail=decision.detail,
            run=run,
        )

    def _born(self, run: Run, now: float) -> None:
        self._metrics.run_entered(run.rule, run.phase)
        if run.scheduled_at is not None and run.retry_of is None:
            self._metrics.schedule_lag(now - run.scheduled_at)

    def _moved(self, run: Run, phase: RunPhase, now: float) -> None:
        self._metrics.run_entered(run.rule, phase)
        if phase.value == "SUBMITTED" and run.submitted_at is None:
            self._metrics.submitted_after(now - run.born_at)
        if phase is RunPhase.RUNNING:  # of what came before, the submitter speaks
            log.info(_RUN[phase], rule=run.rule, key=run.key, run=run.id, workflow=run.workflow)

    def _ended(self, run: Run, phase: RunPhase, message: str, values: dict[str, Any], now: float) -> None:
        started = values.get("started_at") or run.started_at or run.born_at
        self._metrics.run_entered(run.rule, phase)
        self._metrics.run_ended(run.rule, phase, now - started, now, values)
        log.info(
            _RUN[phase],
            rule=run.rule,
            key=run.key,
            run=run.id,
            workflow=run.workflow,
            message=message or None,
        )
