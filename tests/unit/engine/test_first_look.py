"""Rules without events are evaluated too, from the time when they are first loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.engine.kit import Make

DAY = 86400
STALE = {"freshness": {"max_age": "14d", "jitter": "0s"}}
NIGHTLY = {"schedule": {"cron": "0 0 1 1 *"}}
KEYED = {"for_each": {"by": {"d": "event.data.who"}}}
NEVER = {"data": {"source": "push", "batch": {"at_least": {"events": 99}}}}


@pytest.mark.parametrize(
    ("rule", "runs"),
    [
        pytest.param({"triggers": {"stale": STALE}}, 1, id="freshness alone"),
        pytest.param({"triggers": {"stale": STALE, "d": NEVER}}, 1, id="freshness beside data that never comes"),
        pytest.param({"triggers": {"stale": STALE, "n": NIGHTLY}}, 1, id="freshness beside a schedule"),
        pytest.param({"triggers": {"stale": STALE, "d": NEVER}, **KEYED}, 0, id="keys, of which there is none yet"),
        pytest.param(
            {"triggers": {"stale": STALE, "n": NIGHTLY, "d": NEVER}, **KEYED}, 0, id="keys, none yet, and a schedule"
        ),
    ],
)
def test_a_model_that_nothing_is_heard_of_grows_old(make: Make, rule: dict[str, Any], runs: int) -> None:
    bench = make(rule)
    bench.tick(15 * DAY)
    assert bench.query("SELECT count(*) FROM runs") == [(runs,)]
