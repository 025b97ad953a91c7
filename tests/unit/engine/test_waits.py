"""Why a created run does not start yet: the reason, the time, and the blocking limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import operator_commands
from retrainer.engine.runs.waits import waits_for
from retrainer.store import run_statements
from tests.unit.engine.kit import Make, end, event, start, state

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine


def waits(bench: DrivenEngine, rule: str) -> dict[str, Any] | None:
    (run,) = bench.store.read(lambda conn: run_statements.unstarted_runs(conn, rule, "", 5))
    return bench.store.read(lambda conn: waits_for(conn, bench.engine.catalog, run, bench.clock.time))


def test_a_full_pool_names_who_holds_its_slots(make: Make) -> None:
    limits = {"limits": {"pool": "gpu"}}
    bench = make({"name": "a", **limits}, {"name": "b", **limits}, pools={"gpu": 1})
    bench.deliver([event(1)])
    (first,) = start(bench)
    other = "b" if first.rule == "a" else "a"
    said = waits(bench, other)
    assert said is not None
    assert (said["reason"], said["held_by"], said["until"]) == ("pool", [first.id], None)
    assert "the only slot of pool gpu is taken" in said["detail"]


def test_a_shared_budget_says_what_is_left_and_until_when(make: Make) -> None:
    limits = {"limits": {"budget": "team"}}
    bench = make({"name": "a", **limits}, {"name": "b", **limits})
    bench.budgets({"team": {"runs": 1, "per": "1d"}})
    bench.deliver([event(1)])
    (first,) = start(bench)
    said = waits(bench, "b" if first.rule == "a" else "a")
    assert said is not None
    assert (said["reason"], said["until"]) == ("budget", bench.clock.time + 86400)
    assert said["detail"] == "budget team has 0 runs left"


def test_a_retry_waits_for_its_moment(make: Make) -> None:
    submit = {"workflow_template": "t", "retry": {"limit": 1, "backoff": {"duration": "10m"}}}
    bench = make({"name": "a", "submit": submit})
    bench.deliver([event(1)])
    end(bench, "Failed")
    said = waits(bench, "a")
    assert said is not None
    assert (said["reason"], said["until"]) == ("retry", bench.clock.time + 600)


def test_a_retry_does_not_count_as_fired(make: Make) -> None:
    bench = make({"name": "a", "submit": {"workflow_template": "t", "retry": {"limit": 1}}})
    bench.deliver([event(1)])
    fired = bench.clock.time
    bench.tick(60)
    end(bench, "Failed")
    bench.tick(600)
    assert bench.query("SELECT count(*) FROM runs") == [(2,)]
    assert state(bench, "a").last_fired == fired


def test_a_run_that_nobody_has_claimed_waits_for_the_submitter(make: Make) -> None:
    bench = make({"name": "a"})
    bench.deliver([event(1)])
    said = waits(bench, "a")
    assert said is not None
    assert said["reason"] == "submission"


def test_a_rule_in_shadow_starts_no_run_by_hand(make: Make) -> None:
    bench = make({"name": "a", "mode": "shadow"})
    with pytest.raises(ValueError, match="is in mode shadow and submits nothing"):
        bench.act(lambda tx: operator_commands.trigger(tx, "a", "", {}, None))
    assert bench.query("SELECT count(*) FROM runs")[0][0] == 0
    assert bench.act(lambda tx: operator_commands.preview(tx, "a", "", {})).workflow.startswith("a-")
