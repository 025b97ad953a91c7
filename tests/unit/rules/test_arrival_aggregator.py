"""Folding aggregated arrivals gives the same result as folding each one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from retrainer.config.models import Rule
from retrainer.rules.arrival_aggregator import ArrivalAggregator, Single
from retrainer.rules.compile import CompiledRule, compile_rule
from retrainer.rules.decide import step
from retrainer.rules.fold import first_state
from retrainer.rules.outcome import Arrived, Decision, Ended, Kind, Sample, Sampled
from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from retrainer.rules.state import State

NOW = 1_800_000_000.0
BATCHES: list[dict[str, Any]] = [
    {},
    {"at_least": {"events": 7}},
    {"at_least": {"bytes": "300B", "rows": 90}},
    {"at_least": {"events": 4}, "debounce": "10m"},
    {"at_least": {"rows": 50}, "max_wait": "1h"},
]
LIMITS: list[dict[str, Any]] = [
    {},
    {"overlap": "skip"},
    {"overlap": "allow_all"},
    {"overlap": "cancel_other"},
    {"cooldown": {"period": "1h"}},
]
METRIC = {"metric": {"source": "push", "above": 0.2, "jitter": "0s"}}
WHEN: list[dict[str, Any]] = [
    {},
    {"triggers": {"drift": METRIC}},
    {"triggers": {"drift": METRIC}, "when": {"all": ["new", "drift"]}},
    {"triggers": {"drift": METRIC}, "when": {"all": ["new", "drift"], "within": "30m"}},
    {"triggers": {"drift": METRIC}, "unless": ["drift"]},
]
singles = st.lists(
    st.tuples(
        st.floats(NOW - 9000, NOW),
        st.text("ab", max_size=2),
        st.integers(0, 99),
        st.integers(0, 30),
        st.sampled_from(["", "t/0", "t/1"]),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=300)
@given(st.sampled_from(BATCHES), st.sampled_from(LIMITS), st.sampled_from(WHEN), singles, st.integers(0, 3))
def test_summing_up_changes_nothing(
    batch: dict[str, Any], limits: dict[str, Any], when: dict[str, Any], came: list[Any], before: int
) -> None:
    rule = _rule(batch, limits, when)
    start = first_state(rule, "", NOW - 7200)
    for seq in range(before):  # a run may be active, or events may be pending
        start, _ = step(rule, start, _arrived((seq, NOW - 7200, "old", 50, 20, "", 0)), NOW - 3700)
        start, _ = step(rule, start, Sampled("drift", (Sample("a", (0.1, 0.3)[seq % 2], NOW - 3700),)), NOW - 3700)
    numbered = [(10 + i, *single) for i, single in enumerate(came)]
    one_by_one, single_decisions = _fold(rule, start, numbered)
    gathered, gathered_decisions = _gather(rule, start, numbered)
    assert gathered == one_by_one
    assert gathered_decisions == single_decisions


def test_what_a_run_gave_back_is_fresh_again_with_the_first_arrival() -> None:
    rule = _rule({"at_least": {"events": 3}}, {})
    state = first_state(rule, "", NOW - 10)
    for seq in range(3):
        state, done = step(rule, state, _arrived((seq, NOW, "x", 1, 1, "", 0)), NOW - 5)
    new_run = done.decisions[0].new_run
    assert new_run is not None
    state, _ = step(rule, state, Ended("r", RunPhase.FAILED, 1, False, new_run.window, new_run.taken), NOW - 1)
    numbered = [(10, NOW, "y", 1, 1, "", 0), (11, NOW, "z", 1, 1, "", 0)]
    assert _gather(rule, state, numbered) == _fold(rule, state, numbered)


def _rule(batch: dict[str, Any], limits: dict[str, Any], more: dict[str, Any] | None = None) -> CompiledRule:
    body = {"name": "r", "limits": limits, "submit": {"workflow_template": "t"}, **(more or {})}
    body["triggers"] = {"new": {"data": {"source": "push", "batch": batch}}, **body.get("triggers", {})}
    return compile_rule(Rule.model_validate(body), "1", {})


def _arrived(single: Single) -> Arrived:
    seq, time, label, size, rows, part, offset = single
    return Arrived(seq, time, label, {"new": (1, size, rows)}, (1, size, rows), part, offset)


def _fold(rule: CompiledRule, state: State, came: list[Single]) -> tuple[State, list[Any]]:
    decisions: list[Any] = []
    for single in came:
        state, done = step(rule, state, _arrived(single), NOW)
        _note(decisions, done.decisions)
    return state, decisions


def _gather(rule: CompiledRule, state: State, came: list[Single]) -> tuple[State, list[Any]]:
    decisions: list[Any] = []
    gathering: ArrivalAggregator | None = None
    for single in came:
        if gathering is not None:
            if gathering.take(single):
                continue
            state = _close(rule, state, gathering, decisions)
        given = _arrived(single)
        state, done = step(rule, state, given, NOW)
        _note(decisions, done.decisions)
        gathering = ArrivalAggregator.after(rule, state, given, done)
    if gathering is not None:
        state = _close(rule, state, gathering, decisions)
    return state, decisions


def _close(rule: CompiledRule, state: State, gathering: ArrivalAggregator, decisions: list[Any]) -> State:
    state, last = gathering.close(state, NOW)
    if last is not None:
        decisions[-1][1] += gathering.absorbed
        state, done = step(rule, state, last, NOW)
        _note(decisions, done.decisions)
    return state


def _note(decisions: list[Any], new: tuple[Decision, ...]) -> None:
    """Merge equal decisions into one row with the newest detail, as the store does."""
    for decision in new:
        if decisions and decision.kind is not Kind.FIRE and _same(decisions[-1][0], decision):
            decisions[-1] = [decision, decisions[-1][1] + 1]
        else:
            decisions.append([decision, 1])


def _same(one: Decision, other: Decision) -> bool:
    return (one.kind, one.reason) == (other.kind, other.reason)
