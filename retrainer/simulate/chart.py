"""An HTML page without network access: data, metrics with thresholds, and runs of each rule, on one time axis."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from plotly import graph_objects
from plotly.subplots import make_subplots

from retrainer.rules.outcome import Reason
from retrainer.simulate.traces import BARS
from retrainer.util.counts import many
from retrainer.util.timefmt import within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retrainer.simulate.outcome import Outcome, PlayedRun, RecordedDecision
    from retrainer.simulate.traces import Trace, TraceMetric

MOST_HELD = 1500
"""Maximum marks of Hold and Skip decisions, for one rule and side."""
_NOT_YET = frozenset(
    (
        Reason.BATCH_INCOMPLETE,
        Reason.BELOW_THRESHOLD,
        Reason.FOR_PENDING,
        Reason.NO_DATA,
        Reason.DEBOUNCE,
        Reason.FRESH,
        Reason.MISSING_TRIGGER,
        Reason.WAITING,
        Reason.QUIET,
    )
)
"""Reasons of rules that are not due. They are not marked, because data and metrics show them better."""
_COLOURS = {"current": "#8a8f98", "proposed": "#1f6feb"}
_SERIES = ("#0969da", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#0e7490")
_ENTERS = "#cf222e"
_ENDED_WELL = "SUCCEEDED"
_STYLE = "body{font-family:system-ui,sans-serif;margin:2rem auto;max-width:1400px;padding:0 1rem;color:#1f2328}"


@dataclass(frozen=True, slots=True)
class ChartPage:
    """Content of the page. ``outcomes`` and ``traces`` are by side (current, proposed); traces are by rule too.

    ``begin`` and ``end`` limit the time axis (epoch seconds).
    """

    outcomes: Mapping[str, Outcome]
    traces: Mapping[str, Mapping[str, Trace]]
    rules: Sequence[str]
    left_out: int
    begin: float
    end: float


def page(of: ChartPage) -> str:
    """Return the page as HTML."""
    figures = [
        _figure(of, rule).to_html(
            full_html=False, include_plotlyjs=number == 0, config={"displaylogo": False, "responsive": True}
        )
        for number, rule in enumerate(of.rules)
    ]
    sections = "".join(f"<h2>{_escape(rule)}</h2>{figure}" for rule, figure in zip(of.rules, figures, strict=True))
    left_out = f"<p>Not drawn: {many(of.left_out, 'more rule')}.</p>" if of.left_out else ""
    title = f"retrainer simulate, {_day(of.begin)} to {_day(of.end)}"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body><h1>{title}</h1>{sections}{left_out}</body></html>\n"


def _figure(of: ChartPage, rule: str) -> Any:
    sides = [name for name in of.outcomes if rule in of.traces.get(name, {})]
    latest = of.traces[sides[-1]][rule]
    first = 1 + bool(latest.bars)
    heights = [*[0.2] * bool(latest.bars), *[0.3] * len(latest.metrics), 0.15 + 0.1 * len(of.outcomes)]
    titles = [*["events"] * bool(latest.bars), *map(_subtitle, latest.metrics.values()), "runs"]
    figure = make_subplots(
        rows=len(heights), shared_xaxes=True, vertical_spacing=0.06, row_heights=heights, subplot_titles=titles
    )
    if latest.bars:
        figure.add_trace(_bars(of, latest), row=1, col=1)
        figure.update_yaxes(row=1, col=1, rangemode="tozero")
    for row, metric in enumerate(latest.metrics.values(), first):
        _add_lines(figure, row, metric)
        _add_threshold(figure, row, metric, of, sides[-1], _ENTERS)
        for side in sides[:-1]:
            _add_threshold(figure, row, of.traces[side][rule].metrics.get(metric.name), of, side, _COLOURS["current"])
    for place, (side, outcome) in enumerate(of.outcomes.items()):
        for drawn in _sides(rule, side, outcome, place):
            figure.add_trace(drawn, row=len(heights), col=1)
    ticks = list(of.outcomes)
    figure.update_yaxes(
        row=len(heights), col=1, tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.6, len(ticks) - 0.4]
    )
    figure.update_xaxes(range=[_at(of.begin), _at(of.end)])
    figure.update_layout(
        height=int(260 + 420 * sum(heights)), template="plotly_white", hovermode="closest", margin={"t": 40, "b": 40}
    )
    return figure


def _subtitle(metric: TraceMetric) -> str:
    more = f" (not drawn: {metric.left_out} more series)" if metric.left_out else ""
    return f"{_escape(metric.name)}{more}"


def _bars(of: ChartPage, trace: Trace) -> Any:
    width = (of.end - of.begin) / BARS
    moments = [_at(of.begin + (i + 0.5) * width) for i in range(BARS)]
    return graph_objects.Bar(
        x=moments,
        y=trace.bars,
        width=width * 1000,
        name="events",
        marker_color="#57606a",
        showlegend=False,
        hovertemplate="%{y} events<br>%{x}<extra></extra>",
    )


def _add_lines(figure: Any, row: int, metric: TraceMetric) -> None:
    for number, (name, line) in enumerate(metric.lines.items()):
        figure.add_trace(
            graph_objects.Scatter(
                x=[_at(at) for at, _ in line],
                y=[value for _, value in line],
                name=_escape(name),
                mode="lines",
                line={"width": 1, "color": _SERIES[number % len(_SERIES)]},
                hovertemplate="%{y:.4g}<br>%{x}",
            ),
            row=row,
            col=1,
        )


def _add_threshold(figure: Any, row: int, metric: TraceMetric | None, of: ChartPage, side: str, colour: str) -> None:
    """Draw the bound of the threshold, and its clear value if it differs."""
    if metric is None:
        return
    threshold = metric.threshold
    enters = f"{side}: enters {'above' if threshold.high else 'below'} {threshold.bound:g}"
    lines = [(threshold.bound, enters, "solid")]
    if threshold.clear != threshold.bound:
        lines.append((threshold.clear, f"{side}: clears at {threshold.clear:g}", "dot"))
    for value, name, dash in lines:
        figure.add_trace(
            graph_objects.Scatter(
                x=[_at(of.begin), _at(of.end)],
                y=[value, value],
                name=name,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 1.5},
                hovertemplate=f"{name}<extra></extra>",
            ),
            row=row,
            col=1,
        )


def _sides(rule: str, side: str, outcome: Outcome, place: int) -> Iterator[Any]:
    """Yield runs as bars with a mark at their creation, and marks of Hold and Skip decisions."""
    runs = [run for run in outcome.runs if run.rule == rule]
    colour = _COLOURS[side]
    if lasting := [run for run in runs if run.started_at is not None]:
        yield _lasting(lasting, colour, place)
    yield _run_marks(runs, f"{side}: started", colour, place)
    if held := [d for d in outcome.decisions if d.rule == rule and _tells(d)][:MOST_HELD]:
        yield _marks(held, f"{side}: held or skipped", place)


def _lasting(runs: list[PlayedRun], colour: str, place: int) -> Any:
    return graph_objects.Scatter(
        x=[x for run in runs for x in (_at(run.started_at), _at(run.ended_at or run.started_at), None)],
        y=[y for _ in runs for y in (place, place, None)],
        mode="lines",
        line={"color": colour, "width": 9},
        opacity=0.45,
        hoverinfo="skip",
        showlegend=False,
    )


def _run_marks(runs: list[PlayedRun], name: str, colour: str, place: int) -> Any:
    return graph_objects.Scatter(
        x=[_at(run.at) for run in runs],
        y=[place] * len(runs),
        mode="markers",
        name=name,
        marker={
            "symbol": "triangle-right",
            "size": 11,
            "color": [colour if run.phase == _ENDED_WELL else "#cf222e" for run in runs],
        },
        text=[_of_run(run) for run in runs],
        hovertemplate="%{text}<extra></extra>",
    )


def _marks(decisions: list[RecordedDecision], name: str, place: int) -> Any:
    return graph_objects.Scatter(
        x=[_at(d.first_at) for d in decisions],
        y=[place - 0.25] * len(decisions),
        mode="markers",
        name=name,
        marker={"symbol": "line-ns-open", "size": 9, "color": "#bf8700", "line": {"width": 1.5}},
        text=[_of_decision(d) for d in decisions],
        hovertemplate="%{text}<extra></extra>",
    )


def _tells(decision: RecordedDecision) -> bool:
    return decision.decision != "fire" and decision.reason not in _NOT_YET


def _of_run(run: PlayedRun) -> str:
    key = f" / {_escape(run.key)}" if run.key else ""
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    cost = f"<br>{run.gpu_hours:g} GPU hours" if run.gpu_hours else ""
    why = f": {_escape(run.detail)}" if run.detail else ""
    end = f"<br>{run.phase}" + (f" at {_second(run.ended_at)}" if run.ended_at is not None else "")
    return f"<b>started{key}</b> {_second(run.at)}<br>{_escape(run.trigger)}, {run.reason}{why}{attempt}{end}{cost}"


def _of_decision(d: RecordedDecision) -> str:
    key = f" / {_escape(d.key)}" if d.key else ""
    why = f": {_escape(d.detail)}" if d.detail else ""
    times = f"<br>{d.times} times up to {_second(d.last_at)}" if d.times > 1 else ""
    return f"<b>{d.decision}{key}</b> {_second(d.first_at)}<br>{d.reason}{why}{times}"


def _escape(text: str) -> str:
    """Escape a label for plotly, whose subset of HTML does not have the entities of quotes."""
    return escape(text, quote=False)


def _at(at: float | None) -> str | None:
    return None if at is None else f"{within(at):%Y-%m-%d %H:%M:%S}"


def _second(at: float) -> str:
    return f"{within(at):%Y-%m-%d %H:%M:%SZ}"


def _day(at: float) -> str:
    return f"{within(at):%Y-%m-%d}"
