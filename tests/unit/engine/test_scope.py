"""What the parameters of a run see of runs before it."""

from __future__ import annotations

import json

from retrainer.engine import feedback
from tests.unit.engine.kit import SUBMIT, Make, end, event

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
        bench.act(lambda work, run=run, good=auc == "0.8": feedback.judge(work, run.id, promoted=good))
    bench.deliver([event(3)])
    rows = bench.query("SELECT parameters FROM runs ORDER BY id")
    assert [json.loads(row[0]) for row in rows] == [
        {"champion": "0.0", "previous": "0.0"},
        {"champion": "0.8", "previous": "0.8"},
        {"champion": "0.8", "previous": "0.7"},
    ]
