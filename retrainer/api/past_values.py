"""The values of a rule's triggers at a time in the past, as nodes of an explanation.

Values at which a run was started are stored with it. Others are read from the ledger, and shown with the limits of the
rule as it is now. Nothing else of a past state is stored.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.api.pending_series import UNITS, pending
from retrainer.api.series import Span, latest
from retrainer.engine.retention import retention_marks
from retrainer.rules.nodes import Measure, Node, node
from retrainer.store import history
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.triggers.threshold import CompiledThreshold
    from retrainer.store.base import Store

MOST_SERIES = 20
LOOKED_BACK = 7 * 86400.0
"""Seconds before the time in which the last value is searched."""
SHOWN_TO = 0.001
"""Seconds to which times are shown, cut off."""
_NOT_STORED = "what schedules, upstream runs, freshness and limits were at is not stored, only the reason above"


def past_values(store: Store, rule: CompiledRule, key: str, at: float, run: str | None) -> list[Node]:
    """Return the values at ``at`` (epoch seconds). ``run`` is the one that was started then, None if none was."""
    cause = store.read(partial(history.run_cause, run=run)) if run is not None else {}
    if cause:
        return [_of_cause(cause) | {"name": "triggers", "detail": f"as stored with run {run}"}]
    span = Span(rule, key, at - LOOKED_BACK, at + SHOWN_TO)
    found = [_of_series(store, span, gauge) for gauge in rule.of_key(key).gauges.values()] + list(_of_data(store, span))
    pruned = store.read(retention_marks.pruned_to)
    nodes = [node("triggers", "", "values of that time, limits of the rule as it is now", found)] if found else []
    if pruned is not None and at - LOOKED_BACK < pruned:
        nodes.append(node("events", "not kept", f"those that arrived until {moment(pruned)} were pruned"))
    return [*nodes, node("other values", "not kept", _NOT_STORED)]


def _of_series(store: Store, span: Span, gauge: CompiledThreshold) -> Node:
    limit = gauge.threshold
    known, reached = latest(store, span, gauge)
    shown = []
    for name, (at, value) in sorted(sorted(known.items()), key=lambda one: _distance(one[1][1], high=limit.high))[
        :MOST_SERIES
    ]:
        if value is None:
            shown.append(node(name or "no series", "no_data", f"at {moment(at)}"))
            continue
        measure = None if limit.alerts else Measure(value, limit.bound, _side(high=limit.high), clear=limit.clear)
        state = "crossed" if limit.crossed(value) else "clear" if limit.cleared(value) else ""
        shown.append(node(name or "no series", state, f"{value:g} at {moment(at)}", measure=measure))
    detail = "" if known else f"no value from {moment(reached)} on"
    return node(gauge.name, "" if known else "not kept", detail, shown)


def _side(*, high: bool) -> Any:
    return "above" if high else "below"


def _distance(value: float | None, *, high: bool) -> float:
    return float("inf") if value is None else -value if high else value


def _of_data(store: Store, span: Span) -> Iterator[Node]:
    for line in pending(store, span):
        value = line["points"][-1]["value"] if line["points"] else None
        if value is None:
            yield node(line["trigger"], "not kept", f"how many {line['unit']} were pending is not known")
            continue
        measure = Measure(value, line["limit"], unit=line["unit"]) if line["limit"] else None
        yield node(line["trigger"], "", f"{value:g} {line['unit']} pending", measure=measure)


def _of_cause(cause: Mapping[str, Any]) -> Node:
    """Return the causes of a run, see `retrainer.rules.causes`, as nodes."""
    if "trigger" not in cause:
        word = next((word for word in ("any", "all") if word in cause), "")
        return node(word, word, "", [_of_cause(member) for member in cause.get(word, ())])
    shown = node(cause["trigger"], cause.get("reason", ""), cause.get("detail", ""))
    limits = cause.get("at_least") or {}
    counts = [
        node(unit, "", "pending", measure=Measure(cause[unit], limits[unit], unit=unit))
        for unit in UNITS
        if unit in limits and unit in cause
    ]
    side = next((side for side in ("above", "below") if side in cause), None)
    value = cause.get("value")
    if side is not None and value is not None:
        measure = Measure(value, cause[side], _side(high=side == "above"), clear=cause.get("clear"))
        return {**shown, "measure": measure._asdict()}
    return {**shown, "children": counts}
