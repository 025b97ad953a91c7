"""How the triggers of a rule would evaluate an event, condition by condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrainer.event import Event
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.self_trigger import Author
    from retrainer.rules.triggers.data import CompiledData
    from retrainer.rules.triggers.threshold import CompiledThreshold


def would_match(rule: CompiledRule, event: Event, author: Author | None = None) -> list[dict[str, Any]]:
    """The result of each data trigger, and of each metric or alert trigger with pushed values, for an event.

    ``author`` is the run that wrote what the event reports, if it is a run of this system.
    """
    answers = []
    for name, trigger in rule.data.items():
        conditions = [*_conditions(trigger, event), *_own(trigger, event, author)]
        answers.append({"trigger": name, "conditions": conditions, **_counts(trigger, event, conditions)})
    for name, gauge in rule.gauges.items():
        if gauge.expr is None:
            conditions = _matched(gauge, event)
            answers.append({"trigger": name, "conditions": conditions, **_value(gauge, event, conditions)})
    return answers


def _matched(trigger: CompiledData | CompiledThreshold, event: Event) -> list[dict[str, Any]]:
    answers = [{"name": "source", "expected": trigger.source, "holds": event.source in ("", trigger.source)}]
    return answers + [
        {"name": ".".join(c.path), "expected": c.expected, "holds": c.holds(event)} for c in trigger.conditions
    ]


def _conditions(trigger: CompiledData, event: Event) -> list[dict[str, Any]]:
    answers = _matched(trigger, event)
    if trigger.where is not None:
        try:
            answers.append({"name": "where", "expected": trigger.where.text, "holds": trigger.wants(event)})
        except ValueError as error:
            answers.append({"name": "where", "expected": trigger.where.text, "holds": False, "error": str(error)})
    return answers


def _own(trigger: CompiledData, event: Event, author: Author | None) -> list[dict[str, Any]]:
    """The loop guard is listed only if it excludes the event."""
    text = trigger.own.said(trigger.rule, event, author)
    return [{"name": "own output", "expected": "none", "holds": False, "said": text}] if text else []


def _counts(trigger: CompiledData, event: Event, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        size, rows = trigger.measure(event)
        return {
            "matches": all(c["holds"] for c in conditions),
            "key": trigger.key(event),
            "bytes": size,
            "rows": rows,
        }
    except ValueError as error:
        return {"matches": False, "error": str(error)}


def _value(gauge: CompiledThreshold, event: Event, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        sample = gauge.sample(event)
    except ValueError as error:
        return {"matches": False, "error": str(error)}
    return {"matches": all(c["holds"] for c in conditions), "series": sample.series, "value": sample.value}
