"""An exception in one rule, key, event or command stops nothing else: ADR 31, docs/decisions/0031-containment.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from retrainer.engine.commands import operator_commands
from retrainer.engine.core.transactions import TransactionRunner
from retrainer.event import Event
from tests.unit.engine.faults import MARK, InjectedError, functions, inject
from tests.unit.engine.kit import START, Make, data, end, event, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.houses.engine import DrivenEngine

OUTCOMES = {"matched", "filtered", "duplicate", "dead_lettered", "ignored"}
HOURLY = {"n": {"schedule": {"cron": "0 * * * *"}}}


def neighbours(make: Make) -> DrivenEngine:
    """Two rules that match the same events, run hourly and follow a third one."""
    triggers = {
        **data(at_least={"events": 2}),
        **HOURLY,
        "drift": {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.5}},
        "up": {"after": {"rule": "first"}},
    }
    submit = {"workflow_template": "t", "parameters": {"p": "${window.last_key}"}}
    limits = {"pool": "gpu", "budget": "team", "overlap": "allow_all"}
    rule = {"triggers": triggers, "submit": submit, "limits": limits}
    only = {"triggers": data({"kind": "first"})}
    bench = make({"name": "bad", **rule}, {"name": "good", **rule}, {"name": "first", **only}, pools={"gpu": 9})
    bench.budgets({"team": {"runs": 100, "per": "1d"}})
    return bench


def story(bench: DrivenEngine) -> list[str]:
    """A sequence with inputs of each kind; return the outcomes of the events."""
    outcomes = bench.deliver([event(1, kind="a"), event(2, kind="a"), event(3, kind="first")])
    bench.tick(3600)
    for _ in range(3):
        end(bench)
    outcomes += bench.deliver([Event("push", "m", "t", START + 3600, {"metric": "psi", "value": 0.9, "labels": {}})])
    outcomes += bench.deliver([event(4, kind="a", **{MARK: 1}), event(5, kind="a")])
    bench.tick(3600)
    end(bench, "Failed")
    return outcomes


def told_of(bench: DrivenEngine, rule: str) -> list[tuple[Any, ...]]:
    query = "SELECT decision, reason, count FROM decisions WHERE rule = '{}' ORDER BY id"
    return [tuple(row) for row in bench.query(query.format(rule))]


@pytest.mark.parametrize("function", [pytest.param(f, id=name) for name, f in functions()])
def test_a_function_that_raises_for_one_rule_or_event_leaves_the_neighbour_alone(
    make: Make, monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any]
) -> None:
    bench = neighbours(make)
    raised = inject(monkeypatch, function)
    with structlog.testing.capture_logs():
        outcomes = story(bench)
    assert set(outcomes) <= OUTCOMES
    assert bench.engine.failing_since is None
    good = [tuple(r) for r in bench.query("SELECT reason, phase FROM runs WHERE rule = 'good' ORDER BY id")]
    assert ("batch_complete", "SUCCEEDED") in good
    assert ("upstream", "SUCCEEDED") in good or ("batch_complete", "SUCCEEDED") in good
    assert any(reason == "schedule" for reason, _ in good)
    assert any("drift" in row[0] for row in bench.query("SELECT cause FROM runs WHERE rule = 'good'"))
    if raised:
        monkeypatch.undo()
        bench.act(lambda tx: operator_commands.resume(tx, "bad"))
        bench.tick(3600)
        assert state(bench, "bad").quarantine is None


def test_an_engine_whose_every_transaction_fails_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make({"name": "good"})

    def fails(*_: Any, **__: Any) -> None:
        raise InjectedError("not a unit of work")

    monkeypatch.setattr(TransactionRunner, "fold", fails)
    with structlog.testing.capture_logs():
        for _ in range(2):
            with pytest.raises(InjectedError):
                bench.deliver([event(1)])
            bench.clock.time += 31
    assert "every transaction has failed for 62 s" in bench.engine.failing
    monkeypatch.undo()
    assert bench.deliver([event(1)]) == ["matched"]
    assert bench.engine.failing == ""
