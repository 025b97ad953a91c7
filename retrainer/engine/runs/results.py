"""Results of an ended run: whether its model was promoted, and its cost in GPU hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.expression import Program

log = structlog.get_logger()


def promoted(rule: CompiledRule | None, phase: RunPhase, outputs: Mapping[str, Any]) -> bool | None:
    """Return whether the model was promoted, read from the outputs by the rule's `feedback`; None if unknown."""
    if rule is None or rule.promoted is None or phase is not RunPhase.SUCCEEDED:
        return None
    value = _ask(rule, rule.promoted, outputs)
    return value if isinstance(value, bool) else None


def gpu_hours(rule: CompiledRule | None, outputs: Mapping[str, Any], resources: Mapping[str, float]) -> float:
    """Return GPU hours: from the rule's `cost`, else from Argo's durations of resources such as nvidia.com/gpu."""
    if rule is not None and rule.cost is not None:
        value = _ask(rule, rule.cost, outputs)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
            return float(value)
    return sum(seconds for name, seconds in resources.items() if name.endswith("/gpu") or "/gpu." in name) / 3600


def _ask(rule: CompiledRule, program: Program, outputs: Mapping[str, Any]) -> Any:
    try:
        return program.evaluate({"outputs": dict(outputs)})
    except ValueError as error:
        log.warning("run.output_missing", rule=rule.name, error=str(error))
        return None
