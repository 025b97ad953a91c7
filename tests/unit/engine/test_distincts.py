"""`distinct_by`: each distinct value counts once in a window, with its last event, and moves with its window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.sources.base import Batch
from tests.unit.engine.kit import SUBMIT, Make, data, end, event, observed, start, state, windows

if TYPE_CHECKING:
    from retrainer.event import Event
    from tests.houses.engine import DrivenEngine

THINGS: dict[str, Any] = {"distinct_by": "event.data.key", "rows": "event.data.rows"}


def rule(needed: int = 99, **more: Any) -> dict[str, Any]:
    return {"triggers": data(at_least={"events": needed}, **THINGS), **more}


class Feed:
    """Events about distinct values: `key`, `key@size` or `key@size/sequencer`. Rows are a tenth of the size."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, *things: str) -> list[Event]:
        return [self.one(distinct_value) for distinct_value in things]

    def one(self, distinct_value: str) -> Event:
        self.number += 1
        key, _, rest = distinct_value.partition("@")
        size, _, sequencer = rest.partition("/")
        said = {"sequencer": sequencer} if sequencer else {}
        return event(self.number, key=key, size=int(size or 10), rows=int(size or 10) // 10, **said)


def pending(bench: DrivenEngine) -> tuple[int, int, int]:
    window = state(bench).window
    trigger = state(bench).windows.get("d")
    counted = (window.events, window.bytes, window.rows)
    assert trigger is None or counted == (trigger.events, trigger.bytes, trigger.rows)
    return counted


COUNTED: list[Any] = [
    pytest.param(["a", "b", "c"], (3, 30, 3), id="three things"),
    pytest.param(["a", "a", "a"], (1, 10, 1), id="one thing thrice"),
    pytest.param(["a@10", "a@50"], (1, 50, 5), id="it has grown"),
    pytest.param(["a@50", "a@10"], (1, 10, 1), id="it has shrunk"),
    pytest.param(["a@50/02", "a@10/01"], (1, 50, 5), id="told out of order: the later one stands"),
    pytest.param(["a@50/01", "a@10/02"], (1, 10, 1), id="told in order"),
    pytest.param(["a@50/2", "a@10/01"], (1, 10, 1), id="sequencers of two lengths say nothing"),
    pytest.param(["a@20", "b@30", "a@40", "b@10"], (2, 50, 5), id="two things, twice each"),
    pytest.param(["é" * 1999 + end for end in "aab"], (2, 20, 2), id="two things of long names, one of them twice"),
]


@pytest.mark.parametrize("cut", [1, 2, 4])
@pytest.mark.parametrize(("things", "expected"), COUNTED)
def test_a_thing_counts_once_as_it_came_last(
    make: Make, things: list[str], expected: tuple[int, int, int], cut: int
) -> None:
    bench, feed = make(rule()), Feed()
    for i in range(0, len(things), cut):
        bench.deliver(feed(*things[i : i + cut]))
        bench.restart()
    assert pending(bench) == expected


def test_it_counts_again_in_the_next_window(make: Make) -> None:
    bench, feed = make(rule(2)), Feed()
    bench.deliver(feed("a", "a", "b", "a"))
    end(bench)
    bench.deliver(feed("b", "b", "b"))
    assert [w["events"] for w in windows(bench)] == [2, 2]  # `a` arrived after the window was taken, `b` counts again
    assert pending(bench) == (1, 10, 1)


def test_in_shadow_every_window_begins_anew(make: Make) -> None:
    bench, feed = make(rule(2, mode="shadow")), Feed()
    bench.deliver(feed("a", "b"))
    assert state(bench).window.events == 0
    bench.deliver(feed("a"))
    assert pending(bench) == (1, 10, 1)


ENDS: list[Any] = [
    pytest.param("Failed", [], (2, 20, 2), id="nothing came since"),
    pytest.param("Failed", ["c"], (3, 30, 3), id="another thing came since"),
    pytest.param("Failed", ["a@70"], (2, 80, 8), id="the same came since, and stands as it came"),
    pytest.param("Failed", ["a@70", "b@50"], (2, 120, 12), id="both came since"),
    pytest.param("Succeeded", ["a@70"], (1, 70, 7), id="it was spent: only what came since"),
]


@pytest.mark.parametrize("at_once", [pytest.param(True, id="one transaction"), pytest.param(False, id="two")])
@pytest.mark.parametrize(("phase", "since", "expected"), ENDS)
def test_what_a_run_counted_comes_back_with_its_data(
    make: Make, phase: str, since: list[str], expected: tuple[int, int, int], at_once: bool
) -> None:
    """Also if the run ends and the values arrive in one transaction, and the next run is held forever."""
    bench, feed = make(rule(2, limits={"cooldown": {"period": "7d", "from": "fired"}})), Feed()
    bench.deliver(feed("a", "b"))
    (run,) = start(bench)
    if at_once:
        with bench.together():
            bench.gateway.observed([observed(run, phase)])
            bench.engine.offer(Batch("push", feed(*since)))
    else:
        bench.deliver(feed(*since))
        bench.gateway.observed([observed(run, phase)])
    bench.restart()
    assert pending(bench) == expected
    bench.deliver(feed("a@70"))
    assert pending(bench)[0] == expected[0]  # known in every case but the last, where it is already pending


def test_a_run_that_is_born_as_another_ends_takes_what_that_one_counted(make: Make) -> None:
    bench, feed = make(rule(1)), Feed()
    bench.deliver(feed("a"))
    (first,) = start(bench)
    bench.deliver(feed("b"))
    bench.gateway.observed([observed(first, "Failed")])
    (second,) = start(bench)
    assert windows(bench)[-1]["events"] == 2
    bench.gateway.observed([observed(second, "Succeeded")])
    assert bench.query("SELECT count(*) FROM distincts") == [(0,)]
    bench.deliver(feed("a"))
    assert windows(bench)[-1]["events"] == 1  # it counts, because nothing is left of the first window


def test_two_runs_that_end_at_once_give_a_thing_back_once(make: Make) -> None:
    bench, feed = make(rule(1, limits={"overlap": "allow_all"})), Feed()
    bench.deliver(feed("a"))
    bench.deliver(feed("a"))
    runs = start(bench)
    assert len(runs) == 2
    bench.gateway.observed([observed(run, "Failed") for run in runs])
    assert pending(bench)[0] == 1


def test_a_chain_keeps_what_it_counted_until_its_last_attempt(make: Make) -> None:
    retry = {"limit": 1, "backoff": {"duration": "1m"}}
    rests = {"cooldown": {"period": "7d", "from": "fired"}}
    bench, feed = make(rule(2, submit={**SUBMIT, "retry": retry}, limits=rests)), Feed()
    bench.deliver(feed("a", "b"))
    end(bench, "Failed")
    bench.deliver(feed("a"))
    assert pending(bench) == (1, 10, 1)
    bench.tick(60)
    end(bench, "Failed")
    assert pending(bench) == (2, 20, 2)


def test_a_run_without_its_parameters_gives_back_what_was_counted(make: Make) -> None:
    bench, feed = make(rule(1, submit={**SUBMIT, "parameters": {"p": "${window.nothing}"}})), Feed()
    bench.deliver(feed("a"))
    assert pending(bench) == (1, 10, 1)
    bench.deliver(feed("a@30"))
    assert pending(bench) == (1, 30, 3)


def test_a_thing_without_a_name_is_a_dead_letter(make: Make) -> None:
    bench = make(rule())
    assert (
        bench.deliver([event(1, rows=1), event(2, key="", rows=1), event(3, key=1.5, rows=1)]) == ["dead_lettered"] * 3
    )


def test_two_rules_count_a_thing_each(make: Make) -> None:
    bench, feed = make(rule(), rule()), Feed()
    bench.deliver(feed("a", "a"))
    assert [state(bench, name).window.events for name in ("rule-0", "rule-1")] == [1, 1]


def test_an_edit_keeps_what_the_trigger_counted_and_drops_what_a_trigger_that_is_gone_counted(make: Make) -> None:
    bench, feed = make(rule()), Feed()
    bench.deliver(feed("a"))
    name = {"name": "rule-0", "submit": SUBMIT}
    bench.edit([{**name, **rule(50)}])
    bench.deliver(feed("a", "b"))
    assert pending(bench)[0] == 2
    bench.edit([{**name, "triggers": {"e": rule()["triggers"]["d"]}}])
    bench.deliver(feed("a"))
    assert state(bench).windows["e"].events == 1
    assert bench.query("SELECT trigger, value FROM distincts") == [("e", "a")]
