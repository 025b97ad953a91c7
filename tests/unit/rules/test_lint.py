"""Warnings about rules that are valid and probably not intended."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.config.models import Calendar, Rule
from retrainer.rules.compile import compile_rule
from retrainer.rules.cron import Slots
from retrainer.rules.lint import lint

NOW = 1_800_000_000.0  # Friday 2027-01-15
CALENDARS = {
    "nights": Calendar(times=["00:00-06:00"]),
    "weekend": Calendar(weekdays=["sat", "sun"]),
    "past": Calendar(dates=["2020-01-01"]),
    "always": Calendar(weekdays=["mon", "tue", "wed", "thu", "fri", "sat", "sun"]),
}
NIGHTLY = {"schedule": {"cron": "0 3 * * *"}}


def advice(*rules: dict[str, Any]) -> list[tuple[str, str, str]]:
    parsed = [Rule.model_validate({"submit": {"workflow_template": "train"}, **body}) for body in rules]
    compiled = [compile_rule(rule, "r", CALENDARS) for rule in parsed]
    return [(one.rule, one.path, one.message) for one in lint(compiled, NOW, {"gpu": 4, "one": 1, "none": 0})]


def body(name: str = "churn", **more: Any) -> dict[str, Any]:
    return {"name": name, "triggers": {"nightly": NIGHTLY}, **more}


@pytest.mark.parametrize(
    ("rule", "path", "said"),
    [
        pytest.param(
            {"triggers": {"nightly": {"schedule": {"cron": "0 3 * * *", "except": ["nights"]}}}},
            "triggers.nightly.schedule",
            "never fires: each of its next 1000 slots lies in nights",
            id="every slot is excepted",
        ),
        pytest.param(
            {"triggers": {"n": NIGHTLY}, "limits": {"mute": ["nights"], "deadline": "1h"}},
            "triggers.n.schedule",
            "never fires: nights mutes each slot for longer than the deadline",
            id="muted beyond the deadline",
        ),
        pytest.param(
            {"triggers": {"n": NIGHTLY}, "limits": {"mute": ["always"]}},
            "limits.mute[0]",
            "always never ends, so no run ever starts",
            id="muted for ever",
        ),
        pytest.param(
            {"triggers": {"n": NIGHTLY}, "limits": {"mute": ["past"]}},
            "limits.mute[0]",
            "past ended before 2027-01-15T08:00:00Z, so it mutes nothing",
            id="a calendar that is over",
        ),
        pytest.param(
            {"triggers": {"d": {"data": {"source": "s", "where": "1 > 2"}}}},
            "triggers.d.data.where",
            "it is always false",
            id="where is never true",
        ),
        pytest.param(
            {"triggers": {"n": NIGHTLY}, "limits": {"pool": "none"}},
            "limits.pool",
            "none has no slots, so no run ever starts",
            id="a pool without slots",
        ),
    ],
)
def test_a_rule_that_can_never_fire(rule: dict[str, Any], path: str, said: str) -> None:
    assert advice(body(**rule)) == [("churn", path, said)]


def test_a_condition_that_needs_a_dead_schedule() -> None:
    triggers = {"n": {"schedule": {"cron": "0 3 * * *", "except": ["nights"]}}, "d": {"data": {"source": "s"}}}
    said = [one[1:] for one in advice(body(triggers=triggers, when={"all": ["n", "d"]}))]
    assert ("when", "can never be true without n") in said
    assert ("when", "can never be true without n") not in [
        one[1:] for one in advice(body(triggers=triggers, when={"any": ["n", "d"]}))
    ]


@pytest.mark.parametrize(
    ("limits", "races"),
    [
        pytest.param(({}, {}), True, id="nothing keeps them apart"),
        pytest.param(({"pool": "one"}, {"pool": "one"}), False, id="one pool of one slot"),
        pytest.param(({"pool": "gpu"}, {"pool": "gpu"}), True, id="one pool in which both find room"),
        pytest.param(({"pool": "gpu"}, {}), True, id="a pool for one of them"),
    ],
)
def test_two_rules_that_race_for_one_template(limits: tuple[Any, Any], races: bool) -> None:
    found = advice(body("a", limits=limits[0]), body("b", limits=limits[1]))
    assert [one[:2] for one in found] == ([("a", "submit")] if races else [])


def test_rules_of_different_models_do_not_race() -> None:
    submit = {"workflow_template": "train"}
    found = advice(
        body("a", submit={**submit, "parameters": {"model": "a"}}),
        body("b", submit={**submit, "parameters": {"model": "b"}}),
    )
    assert found == []


def test_rules_that_pass_on_their_name_do_not_race() -> None:
    submit = {"workflow_template": "train", "parameters": {"model": "${rule.name}"}}
    assert advice(body("a", submit=submit), body("b", submit=submit)) == []


def test_a_good_rule_needs_no_advice() -> None:
    assert advice(body(limits={"mute": ["weekend"], "deadline": "3d"})) == []


def test_slots_are_computed_only_if_a_calendar_may_hold_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(Slots, "between", lambda *given: asked.append(given) or [])
    advice(body(), body("other", limits={"deadline": "1h"}))
    assert asked == []
    advice(body(limits={"mute": ["nights"], "deadline": "1h"}))
    assert len(asked) == 1
