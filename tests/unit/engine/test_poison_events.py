"""Events from which no parameters can be rendered: see docs/concepts/data.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import operator_commands
from retrainer.rules.explain import explain
from retrainer.rules.parameters import MAX_RENDERED
from tests.unit.engine.kit import Make, data, event, state

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

FIRST = "${events[0].data.file}"
ALL = "${events.map(e, e.data.file + '/')}"
NAMES = "${window.first_key} ${window.last_key}"


def rule(parameter: str, events: int) -> dict[str, Any]:
    return {
        "triggers": data(at_least={"events": events}),
        "submit": {"workflow_template": "t", "parameters": {"p": parameter}},
    }


def dead(bench: DrivenEngine) -> list[str]:
    return [row[0] for row in bench.query("SELECT event FROM dead_letters ORDER BY id")]


def rendered(bench: DrivenEngine) -> list[str]:
    return [row[0] for row in bench.query("SELECT json_extract(parameters, '$.p') FROM runs ORDER BY id")]


@pytest.mark.parametrize(
    ("parameter", "bad"),
    [
        pytest.param(FIRST, {"fil": "typo"}, id="a field is missing"),
        pytest.param(ALL, {"file": 5}, id="a field has another type"),
        pytest.param(ALL, {"file": "{{x}}"}, id="braces that Argo would expand"),
        pytest.param(ALL, {"file": "a\0b"}, id="a NUL"),
        pytest.param(ALL, {"file": "y" * (MAX_RENDERED + 1)}, id="longer than a parameter may be"),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_the_event_is_dead_lettered_and_the_others_start_their_run(
    make: Make, parameter: str, bad: dict[str, Any], place: int
) -> None:
    bench = make(rule(parameter, 7))
    wanted = [event(n, file=f"f{n}") for n in range(7)]
    wanted[place] = event(99, **bad)
    bench.deliver(wanted)
    if parameter == FIRST and place:
        assert rendered(bench) == ["f0"], "nobody reads the bad one"
        return
    assert dead(bench) == ["e99"]
    assert rendered(bench) == [], "one event fewer is not enough data yet"
    assert state(bench).window.events == 6
    bench.deliver([event(7, file="f7")])
    assert len(rendered(bench)) == 1
    assert state(bench).window.events == 0


def test_several_bad_events_are_all_told_apart(make: Make) -> None:
    bench = make(rule(ALL, 40))
    bench.deliver([event(n, file=f"f{n}") if n % 9 else event(n, file=n) for n in range(40)])
    assert dead(bench) == [f"e{n}" for n in range(0, 40, 9)]
    assert state(bench).window.events == 35


def test_the_name_of_the_first_event_that_is_left_becomes_the_first_key(make: Make) -> None:
    bench = make(rule(NAMES, 2))
    bench.deliver([event(1, key="{{a}}"), event(2, key="b"), event(3, key="c")])
    assert (dead(bench), rendered(bench)) == (["e1"], ["b c"])


def test_a_parameter_that_no_event_is_to_blame_for_leaves_the_data_and_says_why(make: Make) -> None:
    bench = make(rule("${events.map(e, e.data.file)}", 3))
    bench.deliver([event(n, file="y" * (MAX_RENDERED // 2)) for n in range(3)])
    assert (dead(bench), rendered(bench)) == ([], [])
    assert state(bench).window.events == 3
    said = explain(bench.engine.catalog.rules["rule-0"], "", state(bench), bench.clock.time)
    assert said["reason"] == "bad_parameters"
    assert "bytes" in said["verdict"]


def test_a_dead_letter_counts_once_the_rule_can_take_it(make: Make) -> None:
    bench = make(rule(ALL, 2))
    bench.deliver([event(1, file="a"), event(2, file=7)])
    assert dead(bench) == ["e2"]
    mended = rule("${events.map(e, string(e.data.file))}", 2)
    bench.edit([{"name": "rule-0", **mended}])
    ids = [row[0] for row in bench.query("SELECT id FROM dead_letters")]
    assert bench.act(lambda tx: operator_commands.replay_dead_letters(tx, ids))["replayed"] == 1
    assert rendered(bench) == ['["a","7"]']
