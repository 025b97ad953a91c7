"""The index finds the same triggers as an evaluation of every condition, with very few evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrainer.config.models import Batch
from retrainer.event import Event
from retrainer.rules import index
from retrainer.rules.index import Index
from retrainer.rules.match import Condition, conditions
from retrainer.rules.self_trigger import OwnOutputs
from retrainer.rules.triggers.data import CompiledData

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 2_000
FEW = 10


def trigger(name: str, match: dict[str, Any], source: str = "lake") -> CompiledData:
    return CompiledData(name, "d", source, conditions(match), None, None, None, None, OwnOutputs(), Batch())


def event(source: str = "lake", **data: Any) -> Event:
    return Event(source, "1", "s3:ObjectCreated:Put", 0.0, data)


def found(triggers: Index, given_event: Event) -> list[str]:
    return sorted(t.rule for t in triggers.candidates(given_event))


SHAPES: list[Any] = [
    pytest.param(lambda n: {"model": f"m-{n}"}, {"model": "m-7"}, id="one equality"),
    pytest.param(lambda n: {"key": f"model-{n}/**"}, {"key": "model-7/a/b.parquet"}, id="a glob that begins literally"),
    pytest.param(
        lambda n: {"key": f"model-{n}/**/*.parquet"}, {"key": "model-7/a/b.parquet"}, id="a glob that goes on after it"
    ),
    pytest.param(
        lambda n: {"bucket": "features", "key": f"model-{n}/**"},
        {"bucket": "features", "key": "model-7/x"},
        id="an equality that all share, and a glob",
    ),
    pytest.param(
        lambda n: {"event.type": "s3:ObjectCreated:Put", "bucket": "features", "model": f"m-{n}"},
        {"bucket": "features", "model": "m-7"},
        id="two equalities that all share, and a third",
    ),
    pytest.param(
        lambda n: {"key": "in/**", "tenant": f"t-{n}/*", "n": 3},
        {"key": "in/x", "tenant": "t-7/x", "n": 3},
        id="two globs, of which all share the first",
    ),
    pytest.param(
        lambda n: {"kind": "ab"[n % 2], "key": f"{'x' * (n % 5)}-{n}/*"},
        {"kind": "b", "key": "xx-7/x"},
        id="beginnings of several lengths",
    ),
]


class Count:
    """Counts evaluated conditions and looked up fields."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked = self.looked_up = 0
        holds, look_up = Condition.holds, index.look_up

        def counted_holds(condition: Condition, given_event: Event) -> bool:
            self.asked += 1
            return holds(condition, given_event)

        def counted_look_up(given_event: Event, path: tuple[str, ...]) -> Any:
            self.looked_up += 1
            return look_up(given_event, path)

        patch.setattr(Condition, "holds", counted_holds)
        patch.setattr(index, "look_up", counted_look_up)

    def of(self, triggers: Index, given_event: Event) -> tuple[list[str], int, int]:
        self.asked = self.looked_up = 0
        return found(triggers, given_event), self.asked, self.looked_up


@pytest.mark.parametrize(("match", "data"), SHAPES)
def test_rules_that_do_not_match_cost_nothing(
    monkeypatch: pytest.MonkeyPatch, match: Callable[[int], dict[str, Any]], data: dict[str, Any]
) -> None:
    count = Count(monkeypatch)
    costs = {}
    for rules in (FEW, MANY):
        triggers = Index(trigger(f"r{n}", match(n)) for n in range(rules))
        names, *costs[rules] = count.of(triggers, event(**data))
        assert names == ["r7"]
    assert costs[MANY] == costs[FEW]
    asked, looked_up = costs[MANY]
    assert asked <= 8
    assert looked_up <= 4


@pytest.mark.parametrize(("match", "data"), SHAPES)
def test_an_event_that_nobody_wants_costs_no_more_than_one_that_somebody_wants(
    monkeypatch: pytest.MonkeyPatch, match: Callable[[int], dict[str, Any]], data: dict[str, Any]
) -> None:
    count = Count(monkeypatch)
    triggers = Index(trigger(f"r{n}", match(n)) for n in range(MANY))
    nobodys = event(**{name: f"none-{value}" if isinstance(value, str) else value for name, value in data.items()})
    names, asked, looked_up = count.of(triggers, nobodys)
    assert (names, asked) == ([], 0)
    assert looked_up <= 4


def test_rules_of_other_sources_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    count = Count(monkeypatch)
    triggers = Index(trigger(f"r{n}", {"key": "*/x"}, source=f"s{n}") for n in range(100))
    assert count.of(triggers, event("s5", key="a/x")) == (["r5"], 1, 0)
    assert triggers.sources == {f"s{n}" for n in range(100)}


SAMES: list[Any] = [
    pytest.param({"v": True}, {"v": 1}, [], id="1 is not true"),
    pytest.param({"v": 1}, {"v": True}, [], id="true is not 1"),
    pytest.param({"v": 1}, {"v": 1.0}, ["r0", "r9"], id="1.0 is 1"),
    pytest.param({"v": "1"}, {"v": 1}, [], id="a text is no number"),
    pytest.param({"v": "a"}, {"v": ["a"]}, [], id="a list is no text"),
    pytest.param({"v": "a*"}, {"v": {"a": 1}}, [], id="an object meets no glob"),
    pytest.param({"v": "a"}, {}, [], id="a field that is missing"),
    pytest.param({"a.b": "c*"}, {"a": {"b": "cd"}}, ["r0", "r9"], id="a path"),
    pytest.param({"v": "a*"}, {"v": "a"}, ["r0", "r9"], id="a glob that is nothing but its beginning"),
    pytest.param({"v": "ab*"}, {"v": "a"}, [], id="shorter than the beginning"),
    pytest.param({}, {"v": "x"}, ["r0", "r9"], id="no match at all means every event"),
]


@pytest.mark.parametrize("others", [pytest.param(0, id="alone"), pytest.param(8, id="among others")])
@pytest.mark.parametrize(("match", "data", "expected"), SAMES)
def test_what_equals_what(match: dict[str, Any], data: dict[str, Any], expected: list[str], others: int) -> None:
    crowd = [trigger(f"other{n}", {**match, "w": f"w{n}"}) for n in range(others)]
    triggers = Index([trigger("r0", match), *crowd, trigger("r9", match)])
    assert found(triggers, event(**data)) == expected


def test_of_beginnings_that_begin_alike_all_are_found() -> None:
    keys = ["**", "a**", "a/*/c", "a/b/**", "a/b/c*", "a/b/cd*", "b/**"]
    triggers = Index(trigger(f"r{n}", {"key": key}) for n, key in enumerate(keys))
    assert found(triggers, event(key="a/b/c")) == ["r0", "r1", "r2", "r3", "r4"]


values = st.sampled_from(["a", "ab", "abc", "a/b", "b/a", "x", 1, 2, True, False, 1.0, "[a"])
globs = st.sampled_from(["*", "a*", "ab*", "a/*", "**", "a**", "a?", "b/**", "**/a", "[ab]*", "[a", "a[b]c"])
fields = st.sampled_from(["k", "l", "m.n"])
matches = st.dictionaries(fields, values | globs, max_size=3)


@given(
    st.lists(matches, min_size=8, max_size=30),
    st.fixed_dictionaries({}, optional={"k": values, "l": values, "m": values}),
)
def test_it_finds_what_asking_everybody_finds(given_matches: list[dict[str, Any]], data: dict[str, Any]) -> None:
    triggers = [trigger(f"r{n}", match) for n, match in enumerate(given_matches)]
    given_event = event(**{**data, "m": {"n": data["m"]} if "m" in data else 0})
    everybody = sorted(t.rule for t in triggers if all(c.holds(given_event) for c in t.conditions))
    assert found(Index(triggers), given_event) == everybody
