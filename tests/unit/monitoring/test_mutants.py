"""The mutator of the alerts: what it changes, and that the known survivors are mutants of today's alerts."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.monitoring.mutation.mutants import mutants
from deploy.monitoring.mutation.run import known_survivors, subjects

RULE: dict[str, Any] = {
    "alert": "X",
    "expr": 'max by (job) (rate(a{code=~"b|c"}[10m])) > 5  # threshold 7',
    "for": "5m",
    "labels": {"scope": "rule"},
}
CHANGED = [
    'min by (job) (rate(a{code=~"b|c"}[10m])) > 5  # threshold 7',
    'sum by (job) (rate(a{code=~"b|c"}[10m])) > 5  # threshold 7',
    'max by (job) (rate(a{code!~"b|c"}[10m])) > 5  # threshold 7',
    'max by (job) (rate(a{code=~"c"}[10m])) > 5  # threshold 7',
    'max by (job) (rate(a{code=~"b"}[10m])) > 5  # threshold 7',
    'max by () (rate(a{code=~"b|c"}[10m])) > 5  # threshold 7',
    'max by (job) (increase(a{code=~"b|c"}[10m])) > 5  # threshold 7',
    'max by (job) (rate(a{code=~"b|c"}[1200s])) > 5  # threshold 7',
    'max by (job) (rate(a{code=~"b|c"}[300s])) > 5  # threshold 7',
    'max by (job) (rate(a{code=~"b|c"}[10m])) >= 5  # threshold 7',
    'max by (job) (rate(a{code=~"b|c"}[10m])) < 5  # threshold 7',
    'max by (job) (rate(a{code=~"b|c"}[10m])) > 6  # threshold 7',
    'max by (job) (rate(a{code=~"b|c"}[10m])) > 4  # threshold 7',
]


def test_each_part_of_an_expression_changes_and_comments_do_not() -> None:
    assert [m.rule["expr"] for m in mutants(RULE) if m.rule["expr"] != RULE["expr"]] == CHANGED


def test_durations_and_labels_change() -> None:
    others = [m.rule for m in mutants(RULE) if m.rule["expr"] == RULE["expr"]]
    assert [rule.get("for") for rule in others] == ["600s", "150s", None, "5m", "5m"]
    assert [rule["labels"] for rule in others[3:]] == [{}, {"scope": "other"}]


def test_mutants_are_the_same_each_time_and_have_names_of_their_own() -> None:
    ids = [m.id for s in subjects() for rule in s.rules for m in mutants(rule)]
    assert ids == [m.id for s in subjects() for rule in s.rules for m in mutants(rule)]
    assert len(set(ids)) == len(ids)


def test_known_survivors_are_mutants_of_the_alerts_as_they_are() -> None:
    ids = {m.id for s in subjects() for rule in s.rules for m in mutants(rule)}
    known = known_survivors()
    assert known.keys() - ids == set()
    assert len(known) < 0.05 * len(ids)


@pytest.mark.parametrize("subject", [pytest.param(s, id=s.rules[-1]["alert"]) for s in subjects()])
def test_each_alert_is_tried_with_its_cases_and_what_records_for_it(subject: Any) -> None:
    assert subject.files
    recorded = {rule["record"] for rule in subject.rules[:-1]}
    assert all(name in subject.rules[-1]["expr"] for name in recorded)
    assert ("job:retrainer_slo" in subject.rules[-1]["expr"]) == bool(recorded)
