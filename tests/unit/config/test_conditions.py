"""A condition that can never give a boolean is reported at load time; one that may give one is accepted."""

from __future__ import annotations

import pytest

from retrainer.config.check_expressions import BOOLEAN, check_cel
from retrainer.rules.environment import EVENT, OUTPUTS, UPSTREAM


def said(text: str) -> list[str]:
    return [finding.message for finding in check_cel((), text, {**EVENT, **UPSTREAM, **OUTPUTS}, BOOLEAN)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("event.data.size + 1", "a number", id="arithmetic"),
        pytest.param("size(event.data.tags)", "a number", id="a size"),
        pytest.param("string(event.data.x)", "a text", id="a conversion"),
        pytest.param("event.type", "a text", id="a field that is a text in every event"),
        pytest.param("event.time", "a timestamp", id="a moment"),
        pytest.param("event.data", "a map", id="all of the data"),
        pytest.param("event.data.filter(x, true)", "a list", id="a list"),
        pytest.param("upstream.phase", "a text", id="the phase of another run"),
    ],
)
def test_what_is_no_condition(text: str, kind: str) -> None:
    assert said(text) == [f"it gives {kind}, not true or false"]


@pytest.mark.parametrize(
    "text",
    [
        "event.data.flag",
        "!event.data.flag",
        "event.data.flags[0]",
        "event.data['flag']",
        "event.data.rows[0].flag",
        "event.data.size > 1024 && event.type == 'upload'",
        "event.data.name.startsWith('churn/')",
        "event.data.tags.exists(t, t == 'x')",
        "event.data.flags.all(f, f)",
        "'x' in event.data.tags",
        "event.time > timestamp('2026-01-01T00:00:00Z')",
        "event.data.kind == 'a' ? event.data.flag : false",
        "has(outputs.promoted) && outputs.promoted",
        "upstream.outputs.rows > 1000.0",
        "event.data.a.b && event.data.a",
    ],
)
def test_what_may_be_one(text: str) -> None:
    assert said(text) == []
