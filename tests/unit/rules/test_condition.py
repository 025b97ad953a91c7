"""Combination of triggers: a table of groups, evaluated with the times since which triggers are satisfied."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.config.models.rule import Group
from retrainer.rules.condition import (
    ConditionGroup,
    compile_condition,
    first_moment,
    holds,
    longest_within,
    missing,
    names_in,
)

FLEETING = frozenset({"slot", "data"})


def condition(**group: Any) -> ConditionGroup:
    return compile_condition(Group.model_validate(group))


TRUE_WHEN: list[Any] = [
    pytest.param({"any": ["a", "b"]}, {"a": 0}, True, id="any: one of them"),
    pytest.param({"any": ["a", "b"]}, {}, False, id="any: none"),
    pytest.param({"all": ["a", "b"]}, {"a": 0, "b": 0}, True, id="all: each"),
    pytest.param({"all": ["a", "b"]}, {"a": 0}, False, id="all: one is missing"),
    pytest.param({"at_least": {"n": 2, "of": ["a", "b", "c"]}}, {"a": 0, "c": 0}, True, id="at_least: enough"),
    pytest.param({"at_least": {"n": 2, "of": ["a", "b", "c"]}}, {"c": 0}, False, id="at_least: too few"),
    pytest.param({"any": ["a", {"all": ["b", "c"]}]}, {"b": 0}, False, id="nested: half of the inner group"),
    pytest.param({"any": ["a", {"all": ["b", "c"]}]}, {"b": 0, "c": 0}, True, id="nested: the whole inner group"),
    pytest.param(
        {"at_least": {"n": 2, "of": ["a", {"any": ["b", "c"]}]}}, {"b": 0, "c": 0}, False, id="a group counts once"
    ),
    pytest.param({"all": ["slot", "a"], "within": "10s"}, {"slot": 91, "a": 0}, True, id="within: still counts"),
    pytest.param({"all": ["slot", "a"], "within": "10s"}, {"slot": 90, "a": 0}, False, id="within: not at its end"),
    pytest.param({"all": ["a", "b"], "within": "10s"}, {"a": 0, "b": 0}, True, id="within: what lasts counts for ever"),
    pytest.param(
        {"any": ["slot", {"all": ["slot", "a"], "within": "10s"}]},
        {"slot": 0},
        True,
        id="within: only in its own group",
    ),
    pytest.param(
        {"all": [{"any": ["slot"], "within": "60s"}, "a"], "within": "10s"},
        {"slot": 80, "a": 0},
        False,
        id="within: of nested ones the shortest",
    ),
]


@pytest.mark.parametrize(("group", "since", "expected"), TRUE_WHEN)
def test_a_group_is_true(group: dict[str, Any], since: dict[str, float], expected: bool) -> None:
    assert holds(condition(**group), since, FLEETING, 100) is expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        pytest.param({"all": ["slot", "a"]}, None, id="no within: for ever"),
        pytest.param({"all": ["slot", "a"], "within": "10s"}, 10, id="one group"),
        pytest.param({"any": [{"all": ["slot", "a"], "within": "10s"}, {"all": ["slot", "b"], "within": "20s"}]}, 20,
                     id="the longest of several"),
        pytest.param({"any": ["slot", {"all": ["slot", "a"], "within": "10s"}]}, None, id="somewhere for ever"),
        pytest.param({"all": [{"any": ["slot"], "within": "60s"}], "within": "10s"}, 10, id="nested: the shortest"),
        pytest.param({"any": ["a"], "within": "10s"}, 0, id="not in it"),
    ],
)  # fmt: skip
def test_how_long_a_trigger_counts_at_most(group: dict[str, Any], expected: float | None) -> None:
    assert longest_within(condition(**group), "slot") == expected


@pytest.mark.parametrize(
    ("group", "moments", "expected"),
    [
        pytest.param({"any": ["a", "b"]}, {"a": 7.0, "b": 5.0}, 5, id="any: the first"),
        pytest.param({"any": ["a", "b"]}, {"a": 7.0}, 7, id="any: the only one that is known"),
        pytest.param({"all": ["a", "b"]}, {"a": 7.0, "b": 5.0}, 7, id="all: the last"),
        pytest.param({"all": ["a", "b"]}, {"a": 7.0}, None, id="all: one depends on something to come"),
        pytest.param({"at_least": {"n": 2, "of": ["a", "b", "c"]}}, {"a": 7.0, "b": 5.0, "c": 6.0}, 6, id="at_least"),
        pytest.param({"any": ["c", {"all": ["a", "b"]}]}, {"a": 7.0, "b": 5.0, "c": 9.0}, 7, id="nested"),
        pytest.param({"all": ["a", "b"], "within": "3s"}, {"a": 7.0, "b": 5.0}, 7, id="within: near enough"),
        pytest.param({"all": ["a", "b"], "within": "2s"}, {"a": 7.0, "b": 5.0}, None, id="within: too far apart"),
        pytest.param(
            {"at_least": {"n": 2, "of": ["a", "b", "c"]}, "within": "2s"},
            {"a": 1.0, "b": 5.0, "c": 6.0},
            6,
            id="within: those that are near enough",
        ),
        pytest.param(
            {"any": ["a", {"all": ["b", "c"]}], "within": "1s"},
            {"b": 5.0, "c": 7.0},
            None,
            id="within, around",
        ),
    ],
)
def test_the_first_moment_at_which_it_can_be_true(
    group: dict[str, Any], moments: dict[str, float], expected: float | None
) -> None:
    assert first_moment(condition(**group), moments, frozenset("abc")) == expected


def test_it_names_its_triggers_and_what_is_missing_in_order() -> None:
    nested = condition(any=["a", {"all": ["b", "a"]}, {"at_least": {"n": 1, "of": ["c"]}}])
    assert list(names_in(nested)) == ["a", "b", "a", "c"]
    assert missing(nested, {"b": 1}) == ["a", "c"]
    assert str(nested) == "any of a, (all of b, a), (at least 1 of c)"
