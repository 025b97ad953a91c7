"""What is remembered of one (rule, key)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from retrainer.rules.state import Asked, Cursor, Due, State, Window

FULL = State(
    seen_at=1.0,
    heard_at=2.0,
    window=Window(events=3),
    windows={"new": Window(events=4)},
    cursors={"nightly": Cursor(5.0, 6.0)},
    taken_hi=7,
    due=Due(8.0, ("new",)),
    asked=Asked({"a": "b"}),
    active=9,
    stopping=True,
    last_fired=10.0,
    last_completed=11.0,
    last_succeeded=12.0,
    failures=13,
    broken=True,
    lapsed=True,
    wake_at=14.0,
)


def test_each_field_has_another_value_here_than_by_default() -> None:
    empty = State(0.0)
    assert all(getattr(FULL, f.name) != getattr(empty, f.name) for f in fields(State)), "else nothing is compared below"


def test_an_arrival_changes_what_is_pending_and_nothing_else() -> None:
    windows = {"new": Window(events=15)}
    expected = replace(FULL, heard_at=16.0, window=Window(events=17), windows=windows, lapsed=False)
    assert FULL.heard(Window(events=17), windows, 16.0) == expected


@pytest.mark.parametrize(
    ("started", "changed"),
    [
        pytest.param(True, {"active": 10}, id="a run"),
        pytest.param(False, {"last_completed": 18.0, "last_succeeded": 18.0}, id="in shadow"),
    ],
)
def test_a_run_takes_what_is_pending_and_changes_nothing_else(started: bool, changed: dict[str, Any]) -> None:
    cursors = {"nightly": Cursor(19.0, 20.0)}
    taken: dict[str, Any] = {"window": Window(), "windows": {}, "cursors": cursors, "taken_hi": 21}
    expected = replace(FULL, **taken, due=None, asked=None, last_fired=18.0, lapsed=False, **changed)
    assert FULL.fired(cursors, 21, 18.0, started=started) == expected
