"""PURE: `depends` of a dag's task: which tasks it names, and whether their ends meet it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.expression import holds
from retrainer.workflows.local.expression_functions import ExpressionError
from retrainer.workflows.local.tags import scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.workflows.local.node import Ended

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
_TERM = re.compile(r"([A-Za-z0-9_][\w-]*)(?:\.(\w+))?")
_LONGEST = 100_000  # characters, with `true` and `false` in the place of up to a thousand tasks
_PHASES = {"Errored": "Error"}


def depends_of(task: Mapping[str, Any]) -> str:
    """Return the condition of a task, with its `dependencies`; empty if it waits for nothing."""
    written = scalar(task.get("depends") or "").strip()
    names = [scalar(name) for name in task.get("dependencies") or ()]
    return " && ".join([*names, *([f"({written})"] if written else [])])


def terms(condition: str) -> list[tuple[str, str]]:
    """Return the tasks that a condition names, each with its result, which may be empty."""
    return [(found[1], found[2] or "") for found in _TERM.finditer(condition)]


def flaw(condition: str) -> str:
    """Return what is wrong with the form of a condition; empty if nothing is."""
    for task, result in terms(condition):
        if result and result not in RESULTS:
            return f"{task}.{result}: a task ends as one of {', '.join(RESULTS)}"
    try:
        if condition:
            holds(_TERM.sub("true", condition), _LONGEST)
    except ExpressionError as error:
        return f"{error}; join tasks by &&, ||, ! and parentheses"
    return ""


def met(condition: str, ended: Mapping[str, Ended], tasks: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the ends of all tasks that it names meet a condition."""

    def value(found: re.Match[str]) -> str:
        return "true" if _has(ended[found[1]], found[2] or "", tasks[found[1]]) else "false"

    return not condition or holds(_TERM.sub(value, condition), _LONGEST)


def _has(ended: Ended, result: str, task: Mapping[str, Any]) -> bool:
    if not result:
        return ended.phase in ("Succeeded", "Skipped") or continues_on(task, ended)
    if result == "AnySucceeded":
        return any(item.phase == "Succeeded" for item in ended.items)
    if result == "AllFailed":
        return bool(ended.items) and all(item.phase == "Failed" for item in ended.items)
    return ended.phase == _PHASES.get(result, result)


def continues_on(step: Mapping[str, Any], ended: Ended) -> bool:
    """Return whether `continueOn` of a step or task accepts a failure."""
    allowed = step.get("continueOn") or {}
    return bool(allowed.get({"Failed": "failed", "Error": "error"}.get(ended.phase, "")))
