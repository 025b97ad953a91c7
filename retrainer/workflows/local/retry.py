"""PURE: whether and when `retryStrategy` tries a node again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.tags import evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.workflows.local.node import Ended
    from retrainer.workflows.local.scope import Scope

MOST_ATTEMPTS = 100
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_RETRIED = {"Always": ("Failed", "Error"), "OnFailure": ("Failed",), "OnError": ("Error",), "OnTransientError": ()}
POLICIES = tuple(_RETRIED)


def seconds(text: str) -> float:
    """Return a duration in seconds: a number of them, or Go's form such as `1m30s`. Raise ValueError."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(rf"({_DURATION.pattern})+", text):
        raise ValueError(f"{text[:40]!r} is no duration: write 30s, 5m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def pause(strategy: Mapping[str, Any], attempts: int, last: Ended, spent: float, scope: Scope) -> float | str:
    """Return the seconds until the next attempt, or why there is none.

    ``spent``: seconds since the first of ``attempts`` started. Raise ValueError for fields that cannot be evaluated.
    """
    expression = strategy.get("expression")
    policy = strategy.get("retryPolicy") or ("Always" if expression else "OnFailure")
    if last.phase not in _RETRIED[policy]:
        return f"not retried: retryPolicy {policy}"
    limit = int(scope.text(strategy["limit"])) if strategy.get("limit") is not None else MOST_ATTEMPTS
    if attempts > min(limit, MOST_ATTEMPTS):
        return "no more retries left"
    if expression and evaluate(scope.text(expression), {**scope.values, **_last_retry(attempts, last)}) is not True:
        return "retryStrategy.expression evaluated to false"
    return _backoff(strategy.get("backoff") or {}, attempts, spent, scope)


def _last_retry(attempts: int, last: Ended) -> dict[str, str]:
    code = last.outputs.exit_code
    values = {"exitCode": "-1" if code is None else str(code), "status": last.phase, "message": last.message}
    values["duration"] = f"{last.finished - last.started:.0f}"
    return {"retries": str(attempts - 1), **{f"lastRetry.{name}": value for name, value in values.items()}}


def _backoff(backoff: Mapping[str, Any], attempts: int, spent: float, scope: Scope) -> float | str:
    def read(name: str) -> float | None:
        return seconds(scope.text(backoff[name])) if backoff.get(name) is not None else None

    wait = read("duration") or 0.0
    if backoff.get("factor") is not None:
        wait *= float(scope.text(backoff["factor"])) ** (attempts - 1)
    if (cap := read("cap")) is not None:
        wait = min(wait, cap)
    longest = read("maxDuration")
    return "backoff would exceed maxDuration" if longest is not None and spent + wait > longest else wait
