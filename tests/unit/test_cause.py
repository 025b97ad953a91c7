"""A secret in the inputs of a run is masked in the cause on its Workflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.test_app import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = "canary-4d1f9c"
RULES = """
version: 1
sources:
  signed: {type: webhook, path: /hooks/signed, token: {from_env: CANARY_TOKEN}}
rules:
  - name: watched
    triggers: {new: {data: {source: signed, batch: {at_least: {events: 9}}}}}
    submit: {workflow_template: train, parameters: {n: "1"}}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    daemon.rules("watched", RULES)
    daemon.start(CANARY_TOKEN=CANARY)
    yield daemon
    daemon.stop()
    daemon.close()


def test_secrets_are_masked_in_the_cause(daemon: Daemon) -> None:
    sent = {"key": f"s3://me:{CANARY}@lake/day-1"}
    assert daemon.http.post("/hooks/signed", json=sent, headers={"Authorization": f"Bearer {CANARY}"}).is_success
    order = {"dry_run": True, "parameters": {}}
    manifest = daemon.http.post("/api/v1/rules/watched/trigger", json=order).json()["manifest"]
    cause = manifest["metadata"]["annotations"]["retrainer.dev/cause"]
    assert json.loads(cause)["window"]["events"] == 1
    assert "***" in json.loads(cause)["window"]["first_key"]
    assert CANARY not in json.dumps(manifest)
