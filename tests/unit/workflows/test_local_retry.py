"""When `retryStrategy` of the local engine tries a node again."""

# ruff: noqa: E501 - a strategy and what it leads to are one line

from __future__ import annotations

from typing import Any

import pytest

from retrainer.workflows.local.node import Ended, Outputs
from retrainer.workflows.local.retry import MOST_ATTEMPTS, pause, seconds
from retrainer.workflows.local.scope import Scope

FAILED = Ended("Failed", "m", Outputs(exit_code=3), started=10.0, finished=12.0)
ERROR = Ended("Error", "m")
SCOPE = Scope({"inputs.parameters.n": "2"})


@pytest.mark.parametrize(
    ("strategy", "attempts", "last", "spent", "expected"),
    [
        pytest.param({"limit": 1}, 1, FAILED, 0, 0.0, id="at-once"),
        pytest.param({"limit": 1}, 2, FAILED, 0, "no more retries left", id="limit"),
        pytest.param({"limit": "{{inputs.parameters.n}}"}, 2, FAILED, 0, 0.0, id="limit-by-a-tag"),
        pytest.param({}, MOST_ATTEMPTS, FAILED, 0, 0.0, id="no-limit"),
        pytest.param({}, MOST_ATTEMPTS + 1, FAILED, 0, "no more retries left", id="no-limit-has-a-bound"),
        pytest.param({"limit": 1}, 1, ERROR, 0, "not retried: retryPolicy OnFailure", id="an-error-by-default"),
        pytest.param({"retryPolicy": "OnError"}, 1, ERROR, 0, 0.0, id="on-error"),
        pytest.param({"retryPolicy": "Always"}, 1, ERROR, 0, 0.0, id="always"),
        pytest.param({"retryPolicy": "OnTransientError"}, 1, ERROR, 0, "not retried: retryPolicy OnTransientError", id="transient"),
        pytest.param({"expression": "true"}, 1, ERROR, 0, 0.0, id="an-expression-alone-retries-errors-too"),
        pytest.param({"expression": "asInt(lastRetry.exitCode) == 3 && lastRetry.duration == '2' && retries == '0' && lastRetry.status == 'Failed' && lastRetry.message == 'm'"}, 1, FAILED, 0, 0.0, id="what-an-expression-knows"),
        pytest.param({"expression": "lastRetry.exitCode == '-1'"}, 1, ERROR, 0, 0.0, id="no-exit-code"),
        pytest.param({"expression": "asInt(lastRetry.exitCode) > {{inputs.parameters.n}} + 1"}, 1, FAILED, 0, "retryStrategy.expression evaluated to false", id="expression"),
        pytest.param({"backoff": {"duration": "2"}}, 3, FAILED, 0, 2.0, id="duration-in-seconds"),
        pytest.param({"backoff": {"duration": "1m", "factor": "{{inputs.parameters.n}}"}}, 3, FAILED, 0, 240.0, id="factor"),
        pytest.param({"backoff": {"duration": "1m", "factor": 2, "cap": "90s"}}, 3, FAILED, 0, 90.0, id="cap"),
        pytest.param({"backoff": {"duration": "10s", "maxDuration": "1m"}}, 2, FAILED, 50.0, 10.0, id="within-its-longest-time"),
        pytest.param({"backoff": {"duration": "10s", "maxDuration": "1m"}}, 2, FAILED, 50.5, "backoff would exceed maxDuration", id="longest-time"),
    ],
)  # fmt: skip
def test_pause(strategy: dict[str, Any], attempts: int, last: Ended, spent: float, expected: float | str) -> None:
    assert pause(strategy, attempts, last, spent, SCOPE) == expected


@pytest.mark.parametrize(("text", "value"), [("20", 20), ("0.5", 0.5), ("1h30m", 5400), ("250ms", 0.25), (" 2s ", 2)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "1w", "-1s", "1m 2s", "1e3"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write 30s, 5m or 1h30m"):
        seconds(text)
