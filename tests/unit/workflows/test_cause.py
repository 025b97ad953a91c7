"""The cause of a run as JSON on its Workflow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from retrainer.telemetry.secrets import Secrets
from retrainer.workflows.cause import MOST, cause
from retrainer.workflows.manifest import manifest

from .samples import a_run

DRIFT = {"trigger": "drift", "reason": "threshold", "detail": "0.31 against > 0.2", "value": 0.31, "above": 0.2}
WINDOW = {
    "events": 3, "bytes": 30, "rows": 0, "start": 1_800_000_000.0, "end": 1_800_000_060.0,
    "first_key": "a", "last_key": "b", "ranges": [[1, 3]], "parts": {},
}  # fmt: skip


def told(**changes: Any) -> dict[str, Any]:
    text = manifest(a_run(**changes), instance="prod", instance_id=None)["metadata"]["annotations"][
        "retrainer.dev/cause"
    ]
    found: dict[str, Any] = json.loads(text)
    return found


def test_triggers_window_and_upstream_run_are_told() -> None:
    because = {"all": [DRIFT, {"trigger": "new", "reason": "batch_complete", "detail": "3 of 3 events"}]}
    cause = {"because": because, "detail": "drift: …", "upstream": "01UP"}
    assert told(trigger="drift", reason="threshold", cause=cause, window=WINDOW, revision="5b1e") == {
        "trigger": "drift",
        "reason": "threshold",
        "when": because,
        "window": {
            "events": 3, "bytes": 30, "rows": 0, "first_key": "a", "last_key": "b",
            "start": "2027-01-15T08:00:00Z", "end": "2027-01-15T08:01:00Z",
        },
        "upstream": "01UP",
        "revision": "5b1e",
    }  # fmt: skip


def test_a_retry_says_of_what() -> None:
    found = told(reason="retry", retry_of="01FIRST", attempt=2, cause={"because": {"any": [DRIFT]}})
    assert (found["retry_of"], found["attempt"], found["when"]) == ("01FIRST", 2, {"any": [DRIFT]})


def test_a_run_from_before_there_was_a_tree_tells_what_it_has() -> None:
    assert told(cause={"triggers": ["drift"], "detail": "drift: 0.31 against > 0.2"}) == {
        "trigger": "nightly",
        "reason": "schedule",
        "detail": "drift: 0.31 against > 0.2",
    }


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"cause": {"because": {"any": [DRIFT] * 500}}}, id="many triggers"),
        pytest.param({"cause": {"because": {"any": [DRIFT | {"detail": "ü" * 10_000}] * 20}}}, id="long texts"),
        pytest.param({"window": WINDOW | {"first_key": "k" * 2000, "last_key": "ü" * 2000}}, id="long keys"),
        pytest.param({"cause": {"because": {"any": [{f"name-{n}": n for n in range(2000)}]}}}, id="nothing else fits"),
    ],
)
def test_it_is_bounded_and_says_that_something_is_missing(changes: dict[str, Any]) -> None:
    text = cause(a_run(**changes))
    assert len(text.encode()) <= MOST
    found = json.loads(text)
    assert found["truncated"] is True
    assert found["trigger"] == "nightly"


def test_how_many_are_left_out_is_told() -> None:
    nodes = told(cause={"because": {"any": [DRIFT] * 500}})["when"]["any"]
    assert nodes[:-1] == [DRIFT] * (len(nodes) - 1)
    assert nodes[-1] == {"more": 500 - (len(nodes) - 1)}


def test_what_fits_is_not_called_truncated() -> None:
    assert "truncated" not in told(cause={"because": {"any": [DRIFT]}}, window=WINDOW)


def test_secrets_do_not_get_onto_the_workflow() -> None:
    secrets = Secrets()
    secrets.hide("hunter2-canary")
    detail = "no answer: https://me:hunter2-canary@prometheus/api, Authorization: Bearer abcdefgh12345678"
    text = cause(a_run(cause={"because": {"any": [DRIFT | {"detail": detail}]}}), secrets.mask)
    assert "canary" not in text
    assert "abcdefgh" not in text
    assert json.loads(text)["when"]["any"][0]["trigger"] == "drift"


def test_nothing_in_it_can_be_expanded_by_a_template_that_pastes_annotations() -> None:
    text = cause(a_run(window=WINDOW | {"first_key": "{{workflow.name}}"}, cause={"detail": "{{{{x"}))
    assert "{{" not in text
