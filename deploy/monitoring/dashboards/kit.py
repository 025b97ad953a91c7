"""Builders for the panels of the dashboards: one call each, with a common style."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common as c
from grafana_foundation_sdk.builders import dashboard as d
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as cm
from grafana_foundation_sdk.models import dashboard as dm
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

DATASOURCE = dm.DataSourceRef("prometheus", "${datasource}")
INSTALLATION = "cluster, namespace, job"
"""The labels of one installation; its replicas differ in `instance`."""
SELECTED = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"'
RULE = f'{SELECTED}, rule="$rule"'
ANY = "or 0 * count(retrainer_build_info)"
"""Makes a count 0 instead of empty, but only if a process was scraped: without one nothing is known to be good."""
HEIGHT, SMALL = 8, 4
WIDTH = 24
GREEN, YELLOW, RED = "green", "yellow", "red"
TO_RULE = "/d/retrainer-rule?var-rule=${__value.raw}&${datasource:queryparam}" + "".join(
    f"&var-{label}=${{__data.fields.{label}}}" for label in INSTALLATION.split(", ")
)
LINKS = {"rule": [{"title": "This rule", "url": TO_RULE}], "alertname": []}
"""What a cell of a column leads to. The chart fills in the empty list, with the address of the runbooks."""
METRIC = re.compile(r"\b(job:retrainer_\w+:\w+|(?:retrainer|process)_\w+|ALERTS)\b(\{)?")
MARKS = {
    "Runs started": ("changes(retrainer_last_fired_timestamp_seconds[$__interval]) > 0", "blue", "{{rule}}: a run"),
    "Runs failed": (
        'increase(retrainer_runs_total{phase=~"FAILED|ERROR|UNKNOWN"}[$__interval]) > 0',
        "red",
        "{{rule}}: {{phase}}",
    ),
    "Restarts": (
        f"changes(process_start_time_seconds[$__interval]) > 0 and on ({INSTALLATION}, instance) retrainer_build_info",
        "orange",
        "{{instance}}: a start",
    ),
}
"""Query, color and title of each annotation."""


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL with its series label: a legend or a column title. Its metrics get the dashboard's selector."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Kit:
    """Panels whose queries use ``selector``."""

    selector: str = SELECTED

    def scoped(self, expr: str) -> str:
        """Add the selector to every metric of retrainer."""
        return METRIC.sub(lambda found: f"{found[1]}{{{self.selector}{', ' if found[2] else '}'}", expr)

    def lines(
        self,
        title: str,
        unit: str,
        *queries: Query,
        about: str = "",
        span: int = 12,
        stacked: bool = False,
        signed: bool = False,
    ) -> timeseries.Panel:
        """Values over time. ``stacked`` draws bars that add up, for counts. ``signed`` values may be below zero."""
        legend = c.VizLegendOptions().show_legend(True)
        legend.display_mode(cm.LegendDisplayMode.LIST).placement(cm.LegendPlacement.BOTTOM)
        tooltip = c.VizTooltipOptions().mode(cm.TooltipDisplayMode.MULTI).sort(cm.SortOrder.DESCENDING)
        panel = timeseries.Panel().title(title).description(about).datasource(DATASOURCE).unit(unit)
        panel.height(HEIGHT).span(span).legend(legend).tooltip(tooltip).fill_opacity(8).show_points(
            cm.VisibilityMode.NEVER
        )
        if not signed:
            panel.min(0)
        if stacked:
            panel.draw_style(cm.GraphDrawStyle.BARS).fill_opacity(70)
            panel.stacking(c.StackingConfig().mode(cm.StackingMode.NORMAL))
        for place, query in enumerate(queries):
            panel.with_target(self._target(place, query))
        return panel

    def number(
        self,
        title: str,
        unit: str,
        expr: str,
        *,
        about: str = "",
        bad: tuple[float, float] | None = None,
        least: float | None = None,
        words: Mapping[int, str] | None = None,
        span: int = 4,
    ) -> stat.Panel:
        """One current value. ``bad`` are the thresholds of yellow and red. Below ``least`` it is red.

        ``words`` replace numbers.
        """
        panel = stat.Panel().title(title).description(about).datasource(DATASOURCE).unit(unit).height(SMALL).span(span)
        panel.graph_mode(cm.BigValueGraphMode.NONE).color_mode(cm.BigValueColorMode.VALUE)
        panel.thresholds(_thresholds(bad, least)).no_value("no data")
        panel.reduce_options(c.ReduceDataOptions().calcs(["lastNotNull"]))
        if words:
            panel.mappings([dm.ValueMap(options={str(n): dm.ValueMappingResult(text=w) for n, w in words.items()})])
        return panel.with_target(self._target(0, Query(expr)).instant())

    def rows(self, title: str, units: Mapping[str, str], *queries: Query, about: str = "") -> table.Panel:
        """A table with a column for each query, and a row for each set of their labels. ``units``: by column."""
        panel = table.Panel().title(title).description(about).datasource(DATASOURCE).height(HEIGHT + 2).span(WIDTH)
        for place, query in enumerate(queries):
            panel.with_target(self._target(place, query).instant().format(PromQueryFormat.TABLE))
        names = {f"Value #{_letter(place)}": query.legend for place, query in enumerate(queries)}
        names |= {"Value": queries[0].legend} if len(queries) == 1 else {}
        panel.with_transformation(dm.DataTransformerConfig(id_val="merge", options={}))
        panel.with_transformation(
            dm.DataTransformerConfig(
                id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": names}
            )
        )
        for name, unit in units.items():
            panel.override_by_name(name, [dm.DynamicConfigValue("unit", unit)])
        for name, links in LINKS.items():
            panel.override_by_name(name, [dm.DynamicConfigValue("links", links)])
        return panel

    def mark(self, name: str) -> d.AnnotationQuery:
        """One of `MARKS`: vertical lines on all panels."""
        expr, color, _ = MARKS[name]
        made = d.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(color)
        return made.expr(self.scoped(expr))

    def _target(self, place: int, query: Query) -> prometheus.Dataquery:
        target = prometheus.Dataquery().expr(self.scoped(query.expr)).ref_id(_letter(place)).datasource(DATASOURCE)
        return target.legend_format(query.legend) if query.legend else target


def board(uid: str, title: str, about: str, *variables: Any, every: bool = True) -> d.Dashboard:
    """A dashboard without panels, with the common variables and ``variables``. ``every``: also of all installations."""
    made = d.Dashboard(title).uid(uid).description(about).tags(["retrainer"]).editable().time("now-24h", "now")
    made.refresh("1m").timezone("browser").tooltip(dm.DashboardCursorSync.CROSSHAIR)
    link = d.DashboardLink("retrainer").type(dm.DashboardLinkType.DASHBOARDS).tags(["retrainer"])
    made.link(link.as_dropdown(True).include_vars(True).keep_time(True))
    made.with_variable(d.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    selected = ""
    for label in INSTALLATION.split(", "):
        variable = _asked(label, label.title(), f"label_values(retrainer_build_info{{{selected}}}, {label})")
        if every or label == "cluster":  # most have no such label
            variable.include_all(True).all_value(".*")
        made.with_variable(variable)
        selected += f'{", " if selected else ""}{label}=~"${label}"'
    for variable in variables:
        made.with_variable(variable)
    return made


def rule_variable() -> d.QueryVariable:
    return _asked("rule", "Rule", f"label_values(retrainer_rule_info{{{SELECTED}}}, rule)")


def _asked(name: str, label: str, query: str) -> d.QueryVariable:
    variable = d.QueryVariable(name).label(label).query(query).datasource(DATASOURCE)
    return variable.refresh(dm.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dm.VariableSort.ALPHABETICAL_ASC)


def quantiles(metric: str) -> tuple[Query, Query]:
    """The median and the 99th percentile of a histogram of seconds."""
    rate = f"sum by (le) (rate({metric}_bucket[$__rate_interval]))"
    return (
        Query(f"histogram_quantile(0.5, {rate})", "median"),
        Query(f"histogram_quantile(0.99, {rate})", "99th percentile"),
    )


def _thresholds(bad: tuple[float, float] | None, least: float | None) -> d.ThresholdsConfig:
    steps = [dm.Threshold(None, GREEN)]
    if least is not None:
        steps = [dm.Threshold(None, RED), dm.Threshold(least, GREEN)]
    if bad:
        steps += [dm.Threshold(bad[0], YELLOW), dm.Threshold(bad[1], RED)]
    return d.ThresholdsConfig().mode(dm.ThresholdsMode.ABSOLUTE).steps(steps)


def _letter(place: int) -> str:
    return chr(ord("A") + place)
