"""Every number in a configuration has a bound, and the error of each bound says how to correct the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.models.base import LONGEST, parse_duration, parse_size
from retrainer.config.schema import rules_schema, settings_schema

from .test_problems import GOOD
from .test_problems import said as problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ANY_NUMBER = {"above", "below", "clear", "parameters", "match", "ignore_own_outputs"}
"""Values and thresholds chosen by users. They are compared and never added up."""
NINES = "9" * 400


def numbers(node: Any, field: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number of a schema, with its field."""
    if isinstance(node, list):
        for one in node:
            yield from numbers(one, field)
    elif isinstance(node, dict):
        if node.get("type") in ("integer", "number") and "const" not in node:
            yield field, node
        for name, one in node.items():
            properties = one.items() if name == "properties" else [(field, one)]
            for inner, part in properties:
                yield from numbers(part, inner)


@pytest.mark.parametrize("schema", [rules_schema(), settings_schema()], ids=["rules", "settings"])
def test_every_number_has_an_upper_bound(schema: dict[str, Any]) -> None:
    free = {field for field, number in numbers(schema) if "maximum" not in number}
    assert free <= _ANY_NUMBER


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("36501d", id="a day more than a hundred years"),
        pytest.param("36500d1ms", id="by a millisecond"),
        pytest.param("110000d", id="more than a wait of a thread"),
        pytest.param("9999999d", id="beyond the calendar"),
        pytest.param(f"{NINES}d", id="400 digits"),
        pytest.param(f"{NINES[:300]}ms", id="300 digits of milliseconds"),
    ],
)
def test_a_duration_beyond_a_hundred_years_is_refused_with_what_to_write_for_never(text: str) -> None:
    with pytest.raises(ValueError, match=r"^\W*\d+.*longer than 36500d.*: write 36500d for never$|^not a duration"):
        parse_duration(text)


def test_a_hundred_years_are_taken() -> None:
    assert parse_duration("36500d") == LONGEST


@pytest.mark.parametrize(
    "text", [pytest.param("8193TiB", id="one more"), pytest.param(f"{NINES[:390]}GiB", id="390 digits")]
)
def test_a_size_beyond_what_is_counted_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is larger than 8192TiB: write 8192TiB for no limit"):
        parse_size(text)


@pytest.mark.parametrize("read", [pytest.param(parse_duration, id="a duration"), pytest.param(parse_size, id="a size")])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("9" * 100_000 + "x", id="no end"),
        pytest.param("5m\n", id="a line's end"),
        pytest.param("\u0665m", id="other digits"),
    ],
)
def test_what_is_none_is_told_briefly(read: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"not a (duration|size): ") as caught:
        read(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            "retry: {limit: 2}",
            "timeout: 40000d",
            "rules[0].submit.timeout: '40000d' is longer than 36500d, a hundred years (write 36500d for never)",
            id="a duration",
        ),
        pytest.param(
            "retry: {limit: 2}",
            "retry: {limit: 3, backoff: {factor: 100000000}}",
            "rules[0].submit.retry.backoff.factor: 100000000 is too large (write at most 1000)",
            id="a factor",
        ),
        pytest.param(
            "retry: {limit: 2}",
            "retry: {limit: 101}",
            "rules[0].submit.retry.limit: 101 is too large (write at most 100)",
            id="a count",
        ),
    ],
)
def test_a_bound_is_told_with_field_limit_and_way_out(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert [one.split(": ", 1)[1] for one in problems(tmp_path, GOOD.replace(old, new))] == [said]
