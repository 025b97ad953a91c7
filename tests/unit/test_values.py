"""The tables of docs/reference/values.md, row by row."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from retrainer.config.load import load_texts
from retrainer.engine.core.catalog import build_catalog
from retrainer.event import Event
from retrainer.rules.expression import LONGEST_KEY
from retrainer.rules.index import Index
from retrainer.rules.parameters import as_text
from retrainer.rules.triggers.threshold import series_name
from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.rules.triggers.data import CompiledData

PAGE = Path(__file__).parents[2] / "docs/reference/values.md"
DEAD = "dead letter"


def table(title: str) -> list[Any]:
    """The rows of the table beneath a heading, each cell without its backticks."""
    section = PAGE.read_text().split(f"\n## {title}")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell[1:-1].removeprefix("`").removesuffix("`") for cell in line[1:-1].split("|")] for line in lines]
    return [pytest.param(*row, id=" -> ".join(row)) for row in cells]


def rule(match: str, size: str = "bytes: 1GB") -> CompiledData:
    text = f"""version: 1
sources: {{push: {{type: webhook, path: /hooks/p}}}}
rules:
  - name: r
    triggers: {{d: {{data: {{source: push, match: {{{match}}}, batch: {{at_least: {{{size}}}}}}}}}}}
    submit: {{workflow_template: t}}
"""
    configuration, problems = load_texts({"/r.yaml": text})
    assert not problems, problems[0].render()
    return build_catalog(configuration, ()).rules["r"].data["d"]


def event(data: Any) -> Event:
    return Event("push", "e", "t", 0.0, data)


@pytest.mark.parametrize(("asked", "data", "expected"), table("`match`"))
def test_match(asked: str, data: str, expected: str) -> None:
    trigger = rule(asked)
    one = event(orjson.loads(data))
    assert all(c.holds(one) for c in trigger.conditions) is (expected == "yes")
    crowd = [rule(f"{asked}, n{n}: 1") for n in range(8)]  # enough rules for the index to be used
    found = list(Index([trigger, *crowd]).candidates(one))
    assert (found == [trigger]) is (expected == "yes")


def outcome(read: Callable[[], object]) -> str:
    try:
        return str(read())
    except ValueError:
        return DEAD


@pytest.mark.parametrize(("value", "expected"), table("Keys"))
def test_keys(value: str, expected: str) -> None:
    assert outcome(lambda: values.name(orjson.loads(value), LONGEST_KEY, printable=True)) == expected


@pytest.mark.parametrize(("value", "expected"), table("Sizes"))
def test_sizes(value: str, expected: str) -> None:
    size = orjson.loads(value)
    assert outcome(lambda: rule("x: 1").measure(event({"size": size}))[0]) == expected
    other = outcome(lambda: rule("x: 1", "events: 5").measure(event({"size": size}))[0])
    too_large = "9007199254740993" in value
    assert other == ("0" if expected == DEAD and not too_large else expected)


@pytest.mark.parametrize(("value", "expected"), table("Rows"))
def test_rows(value: str, expected: str) -> None:
    assert outcome(lambda: values.rows(orjson.loads(value))) == expected


@pytest.mark.parametrize(("value", "expected"), table("Values of metrics"))
def test_values_of_metrics(value: str, expected: str) -> None:
    assert outcome(lambda: values.number(orjson.loads(value))) == expected.replace("no data", "None")


@pytest.mark.parametrize(("value", "expected"), table("Texts for parameters"))
def test_texts_for_parameters(value: str, expected: str) -> None:
    assert as_text(orjson.loads(value)) == expected


@pytest.mark.parametrize(
    ("value", "longest", "expected"),
    [("x" * 200, 200, "x" * 200), ("x" * 201, 200, DEAD), ("x" * 2000, 2000, "x" * 2000), ("a\nb", 2000, "a\nb")],
)
def test_how_long_a_name_may_be(value: str, longest: int, expected: str) -> None:
    assert outcome(lambda: values.name(value, longest, printable=longest == 200)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.b", {"a": {"b": 1}}),
        ("a.b", {"a.b": 1}),
        ("a.b", {"a": {"x": 0}, "a.b": 1}),
        ("a.b.c", {"a": {"b.c": 1}}),
        ("a.b.c", {"a.b": {"c": 1}}),
        ("a.b.c", {"a": {"b": 0}, "a.b.c": 1}),
    ],
)
def test_a_field_is_found_where_names_have_dots(path: str, expected: Any) -> None:
    assert values.field(expected, path.split(".")) == 1
    assert values.field(expected, [*path.split("."), "z"]) is values.MISSING


def cut_in_every_way(parts: int) -> dict[str, Any]:
    """Data with every possible position of dots in the names of the path `a.a.a…`, without its last part."""
    return {".".join("a" * length): cut_in_every_way(parts - length) for length in range(1, parts)}


@pytest.mark.parametrize(
    ("path", "event"),
    [
        pytest.param("a" * 17, cut_in_every_way(17), id="65,000 ways"),
        pytest.param("a" * 256, {".".join("a" * length): {} for length in range(1, 256)}, id="255 ways"),
    ],
)  # fmt: skip
def test_a_name_that_can_be_cut_in_many_ways_is_looked_for_in_some(path: str, event: dict[str, Any]) -> None:
    began = time.process_time()
    for _ in range(20):
        assert values.field(event, list(path)) is values.MISSING
    assert time.process_time() - began < 1


def test_attributes_are_texts_however_they_came() -> None:
    trigger = rule("event.attributes.priority: 5, event.attributes.urgent: true")
    for attributes in ({"priority": "5", "urgent": "true"}, {"priority": 5, "urgent": True}):
        one = Event("push", "e", "t", 0.0, {}, attributes=attributes)
        assert all(c.holds(one) for c in trigger.conditions)


def test_a_very_long_name_of_a_series_ends_in_its_hash() -> None:
    one, other = (series_name("psi", {"a": "x" * 1_000_000 + end}) for end in ("1", "2"))
    assert one != other
    assert len(one) < 2000
    assert len(series_name("psi", {"a": "x" * 1980})) == len('psi{a=""}') + 1980


def test_labels_of_a_series_are_texts() -> None:
    told = values.labels({"a": True, "b": 1e-5, "c": None, "d": [1], "e": "x"})
    assert series_name("psi", told) == 'psi{a="true",b="0.00001",e="x"}'
