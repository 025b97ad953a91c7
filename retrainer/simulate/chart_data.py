"""Prepare the chart of a simulation: select the rules, and collect their traces."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.simulate.history import open_history
from retrainer.simulate.outcome import differences
from retrainer.simulate.simulation import configuration_of, looked_up, period
from retrainer.simulate.traces import Trace, trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.simulate.outcome import Outcome
    from retrainer.simulate.simulation import Task

MOST_RULES = 20
"""Maximum rules on one page, to limit its size."""


def picture(tasks: Mapping[str, Task], outcomes: Mapping[str, Outcome]) -> str:
    """Return an HTML page with the rules that differ, then those with the most runs. Requires plotly.

    Raise BadHistory.
    """
    from retrainer.simulate.chart import ChartPage, page  # noqa: PLC0415 - plotly is needed for charts only

    ranked = _ranked(outcomes)
    rules = ranked[:MOST_RULES]
    traces: dict[str, Mapping[str, Trace]] = {}
    begin = end = 0.0
    for side, task in tasks.items():
        history = open_history(task.history)
        begin, end = period(task, history)
        begin = begin if task.since is None else task.since
        configuration, _ = configuration_of(task)
        mine = replace(configuration, rules=tuple(rule for rule in configuration.rules if rule.name in rules))
        ranges = list(looked_up(task, mine, history))
        traces[side] = trace(mine, history.records(), ranges, begin, end)
    return page(ChartPage(outcomes, traces, rules, len(ranked) - len(rules), begin, end))


def _ranked(outcomes: Mapping[str, Outcome]) -> list[str]:
    known = {d.rule for outcome in outcomes.values() for d in outcome.decisions}
    known |= {run.rule for outcome in outcomes.values() for run in outcome.runs}
    sides = list(outcomes.values())
    differ = Counter(d.rule for d in differences(*sides)) if len(sides) == 2 else Counter[str]()
    runs = Counter(run.rule for outcome in sides for run in outcome.runs)
    return sorted(known, key=lambda rule: (-differ[rule], -runs[rule], rule))
