"""The PreSync job for Argo CD from deploy/gitops, with the image of this repository."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from .conftest import kubectl, until

JOB = Path(__file__).parents[2] / "deploy" / "gitops" / "presync-job.yaml"
RULE = """version: 1
rules:
  - name: nightly
    triggers: {nightly: {schedule: {cron: "30 2 * * *"}}}
    submit: {workflow_template: train}
"""
TEST = """version: 1
rules: [nightly.yaml]
tests:
  - name: it runs at night
    start: 2026-11-24T00:00:00Z
    expect: [{at: 3h, runs: [{rule: nightly}]}]
"""
LOCAL = "image: localhost/retrainer:test\n          imagePullPolicy: Never"


@pytest.mark.parametrize(
    ("rule", "test", "condition", "container", "words"),
    [
        pytest.param(RULE, TEST, "Complete", "test", "1 passed", id="good rules"),
        pytest.param(
            RULE.replace("cron", "corn"), TEST, "Failed", "validate", "did you mean `cron`?", id="a mistake in a rule"
        ),
        pytest.param(
            RULE.replace("30 2", "30 4"),
            TEST,
            "Failed",
            "test",
            "it runs at night",
            id="a rule that runs late",
        ),
    ],
)
def test_rules_are_checked_before_they_are_synced(
    platform: str, rule: str, test: str, condition: str, container: str, words: str
) -> None:
    files = {"nightly.yaml": rule, "nightly_test.yaml": test}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rules-to-check"}, "data": files}
    kubectl("-n", platform, "apply", "-f", "-", given=json.dumps(config_map))
    kubectl("-n", platform, "delete", "job", "retrainer-check-rules", "--ignore-not-found")
    job = JOB.read_text().replace(f"image: retrainer:{version('retrainer')}", LOCAL)
    kubectl("-n", platform, "apply", "-f", "-", given=job)
    until(lambda: f"{condition}=True" in conditions(platform))
    assert words in kubectl("-n", platform, "logs", "job/retrainer-check-rules", "-c", container)


def conditions(namespace: str) -> str:
    shown = '{range .status.conditions[*]}{.type}={.status}{"\\n"}{end}'
    return kubectl("-n", namespace, "get", "job", "retrainer-check-rules", "-o", f"jsonpath={shown}")
