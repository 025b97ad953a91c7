"""PURE: the hooks of a workflow, a step or a task: what runs once it has ended, and what when a condition holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.tags import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.workflows.local.scope import Scope


def exit_hook(holder: Mapping[str, Any]) -> tuple[dict[str, Any], bool] | None:
    """Return the exit handler in the form of a step, and whether it gets the arguments of the workflow."""
    hook = (holder.get("hooks") or {}).get("exit")
    if hook is not None:
        return {**hook, "name": "onExit"}, False
    return ({"name": "onExit", "template": holder["onExit"]}, True) if holder.get("onExit") else None


def others(holder: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the hooks with a condition, each in the form of a step."""
    found = {name: hook for name, hook in (holder.get("hooks") or {}).items() if name != "exit"}
    return {name: {**hook, "name": f"hooks.{name}"} for name, hook in found.items()}


def is_due(hook: Mapping[str, Any], scope: Scope) -> bool:
    """Return whether the condition of a hook holds; True if it has none. Raise ExpressionError."""
    return "expression" not in hook or evaluate(scope.text(hook["expression"]), scope.values) is True


def due(waiting: Mapping[str, Mapping[str, Any]], scope: Scope) -> Iterator[str]:
    """Yield the names of the hooks whose condition holds. One without a value does not hold yet."""
    for name, hook in waiting.items():
        try:
            if is_due(hook, scope):
                yield name
        except ValueError:
            continue
