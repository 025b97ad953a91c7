"""What is remembered of one (rule, key)."""

from __future__ import annotations

from dataclasses import fields, replace

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


def test_an_arrival_changes_what_is_pending_and_nothing_else() -> None:
    empty = State(0.0)
    assert all(getattr(FULL, f.name) != getattr(empty, f.name) for f in fields(State)), "each field is to tell"
    windows = {"new": Window(events=15)}
    expected = replace(FULL, heard_at=16.0, window=Window(events=17), windows=windows, lapsed=False)
    assert FULL.heard(Window(events=17), windows, 16.0) == expected
