"""Earlier runs in the parameters of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from retrainer.engine.commands import feedback
from tests.unit.engine.kit import SUBMIT, Make, end, event

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

PARAMETERS = {
    "champion": "${has(champion.id) ? champion.outputs.auc : 0.0}",
    "previous": "${has(previous.id) ? previous.outputs.auc : 0.0}",
}
OUTPUTS = {"auc": {"parameter": "auc", "type": "number"}}


def test_the_champion_is_the_last_run_that_was_promoted_and_the_previous_one_the_last(make: Make) -> None:
    bench = make({"submit": {**SUBMIT, "parameters": PARAMETERS, "outputs": OUTPUTS}, "feedback": {}})
    for number, auc in enumerate(("0.8", "0.7"), 1):
        bench.deliver([event(number)])
        (run,) = end(bench, outputs={"auc": auc})
        bench.act(lambda tx, run=run, good=auc == "0.8": feedback.judge(tx, run.id, promoted=good))
    bench.deliver([event(3)])
    rows = bench.query("SELECT parameters FROM runs ORDER BY id")
    assert [json.loads(row[0]) for row in rows] == [
        {"champion": "0.0", "previous": "0.0"},
        {"champion": "0.8", "previous": "0.8"},
        {"champion": "0.8", "previous": "0.7"},
    ]


LARGE = {
    "shown": "${events.map(e, e.data.n)}",
    "all": "${window.events}",
}


def test_of_large_events_the_newest_are_there_within_the_bytes_for_them_and_the_window_counts_all(make: Make) -> None:
    bench = make(batch(5, {**LARGE, "whole": "${events.filter(e, e.data == {}).size()}"}))
    bench.deliver([event(n, n=n, text=f"{n}" * 1_500_000) for n in range(5)])
    assert parameters(bench) == {"shown": "[3,4]", "all": "5", "whole": "0"}


def test_what_is_not_read_of_events_takes_no_room_in_packed_rows(make: Make) -> None:
    names = {"n": "${events.map(e, e.id)}", "size": "${events.size()}"}
    bench = make(batch(5, names))
    bench.deliver([event(n, n=n, text=f"{n}" * 1_500_000) for n in range(5)])
    assert parameters(bench) == {"n": '["e0","e1","e2","e3","e4"]', "size": "5"}


def test_the_newest_event_is_there_however_large_it_is(make: Make) -> None:
    bench = make(batch(2, LARGE))
    bench.deliver([event(n, n=n, text=f"{n}" * 6_000_000) for n in range(2)])
    assert parameters(bench) == {"shown": "[1]", "all": "2"}


def batch(events: int, parameters: dict[str, str]) -> dict[str, Any]:
    trigger = {"d": {"data": {"source": "push", "batch": {"at_least": {"events": events}}}}}
    return {"triggers": trigger, "submit": {**SUBMIT, "parameters": parameters}}


def parameters(bench: DrivenEngine) -> dict[str, str]:
    found: dict[str, str] = json.loads(bench.query("SELECT parameters FROM runs")[0][0])
    return found
