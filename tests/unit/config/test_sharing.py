"""Equal parts of rules are shared as one object; unequal ones are not."""

from __future__ import annotations

import pytest
from pydantic import Field

from retrainer.config.interning import Shared
from retrainer.config.models.base import Model


class Part(Model):
    size: int | float | bool = 0
    name: str = ""


class Whole(Model):
    part: Part = Part()
    parts: dict[str, Part] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(Part(size=3), Part(size=3), True, id="equal values"),
        pytest.param(Part(size=1), Part(size=1.0), False, id="a number that is written otherwise"),
        pytest.param(Part(size=1), Part(size=True), False, id="a boolean is no number"),
        pytest.param(Part(size=0), Part(), False, id="a default that is written out is one that was given"),
        pytest.param(Part(name="a"), Part(name="b"), False, id="other values"),
    ],
)
def test_parts_are_shared_if_they_are_the_same(one: Part, other: Part, same: bool) -> None:
    shared = Shared()
    assert (shared.share(Whole(part=one)).part is shared.share(Whole(part=other)).part) is same
    first, second = shared.share(Whole(parts={"a": one})), shared.share(Whole(parts={"a": other}))
    assert (first.parts["a"] is second.parts["a"]) is same
    assert (first.parts["a"], second.parts["a"]) == (one, other)
    assert second.parts["a"].model_fields_set == other.model_fields_set


def test_a_default_is_one_object_for_all() -> None:
    assert Whole().part is Whole().part
