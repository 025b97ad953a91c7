"""The series that the definition of a rule determines: they are exported before the rule has decided anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.config.models import Rule

# Decisions that alerts and rates use are exported as 0 from the start. Others appear when they first occur.
FIRED_BY = {
    "schedule": ("schedule", "backfill"),
    "data": ("batch_complete",),
    "metric": ("threshold",),
    "alert": ("alert",),
    "freshness": ("stale",),
    "after": ("upstream",),
}
"""Reasons to fire, by kind of trigger."""
ALWAYS_FIRED_BY = ("manual", "retry")
SKIPPED_BY = ("overlap", "deadline", "missed", "bad_parameters")
OUR_LABELS = ("rule", "mode")


def first_decisions(rule: Rule) -> set[tuple[str, str]]:
    """Kind and reason of the decisions that are exported before they first occur."""
    kinds = {kind for trigger in rule.triggers.values() for kind in trigger.model_fields_set}
    fired = {reason for kind in kinds & FIRED_BY.keys() for reason in FIRED_BY[kind]}
    return {*(("fire", reason) for reason in {*fired, *ALWAYS_FIRED_BY}), *(("skip", reason) for reason in SKIPPED_BY)}


def thresholds(rule: Rule) -> dict[tuple[str, ...], float]:
    """Thresholds of a rule's metric triggers, by the labels of their series."""
    bounds: dict[tuple[str, ...], float | None] = {
        (name,): metric.above if metric.above is not None else metric.below
        for name, trigger in rule.triggers.items()
        if (metric := trigger.metric) is not None
    }
    return {labels: bound for labels, bound in bounds.items() if bound is not None}


def max_ages(rule: Rule) -> dict[tuple[str, ...], float]:
    """Maximum model age of a rule's freshness triggers in seconds, by what counts; the strictest of each."""
    found: dict[tuple[str, ...], float] = {}
    for trigger in rule.triggers.values():
        if (freshness := trigger.freshness) is not None:
            found[freshness.of,] = min(freshness.max_age, found.get((freshness.of,), freshness.max_age))
    return found


def balance_of(rule: Rule) -> str | None:
    """Name of the rule's own budget; None if it has none, or shares one."""
    return None if rule.limits.budget is None or isinstance(rule.limits.budget, str) else f"rule/{rule.name}"


def info_labels(rule: Rule) -> dict[str, str]:
    """The rule's labels under names that Prometheus accepts; ``rule`` and ``mode`` are set by retrainer."""
    labels = {_label(name): str(value) for name, value in sorted(rule.labels.items())}
    return {**labels, "rule": rule.name, "mode": rule.mode}


def _label(name: str) -> str:
    mended = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"label_{mended}" if mended in OUR_LABELS or not re.match(r"[a-zA-Z]", mended) else mended
