"""What is remembered of one (rule, key)."""

from __future__ import annotations

from dataclasses import replace

from retrainer.rules.state import Cursor, Due, State, Window

SOME = State(
    seen_at=1.0,
    window=Window(events=3),
    windows={"new": Window(events=4)},
    cursors={"nightly": Cursor(5.0, 6.0)},
    due=Due(8.0, ("new",)),
    last_fired=10.0,
    lapsed=True,
    wake_at=14.0,
)


def test_a_change_changes_what_it_names_and_nothing_else() -> None:
    changes = {"heard_at": 16.0, "window": Window(events=17), "windows": {}, "lapsed": False}
    assert SOME.but(**changes) == replace(SOME, **changes)
    assert SOME.but() == SOME
