"""The stored state of one (rule, key)."""

from __future__ import annotations

from dataclasses import replace

import orjson

from retrainer.rules.state import Cursor, Due, State, decode, encode
from retrainer.rules.threshold_state import Series, ThresholdState
from retrainer.rules.window import Window

SOME = State(
    seen_at=1.0,
    window=Window(events=3),
    windows={"new": Window(events=4)},
    cursors={"nightly": Cursor(5.0, 6.0)},
    gauges={"drift": ThresholdState({"": Series(0.5, 7.0)})},
    due=Due(8.0, ("new",)),
    last_fired=10.0,
    lapsed=True,
    wake_at=14.0,
)


def test_a_change_changes_what_it_names_and_nothing_else() -> None:
    changes = {"heard_at": 16.0, "window": Window(events=17), "windows": {}, "lapsed": False}
    assert SOME.but(**changes) == replace(SOME, **changes)
    assert SOME.but() == SOME


def test_what_a_newer_release_remembers_beyond_it_is_left_out() -> None:
    """Unknown fields are ignored: during an upgrade and after a rollback, a release reads states of the next one."""
    told = orjson.loads(encode(SOME))
    for place in (told, told["window"], told["windows"]["new"], told["gauges"]["drift"]):
        place["mood"] = "fine"
    assert decode(orjson.dumps(told).decode()) == SOME
