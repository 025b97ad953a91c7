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
NAMESPACE = 'namespace=~"$namespace"'
RULE = f'{NAMESPACE}, rule="$rule"'
HEIGHT, SMALL = 8, 4
WIDTH = 24
GREEN, YELLOW, RED = "green", "yellow", "red"
TO_RULE = "/d/retrainer-rule?var-rule=${__value.raw}&${namespace:queryparam}&${datasource:queryparam}"
METRIC = re.compile(r"\b((?:retrainer|process)_\w+|ALERTS)\b(\{)?")


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL with its series label: a legend or a column title. Its metrics get the dashboard's selector."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Kit:
    """Panels whose queries use ``selector``."""

    selector: str = NAMESPACE

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
        words: Mapping[int, str] | None = None,
        span: int = 4,
    ) -> stat.Panel:
        """One current value. ``bad`` are the thresholds of yellow and red. ``words`` replace numbers."""
        panel = stat.Panel().title(title).description(about).datasource(DATASOURCE).unit(unit).height(SMALL).span(span)
        panel.graph_mode(cm.BigValueGraphMode.NONE).color_mode(cm.BigValueColorMode.VALUE).thresholds(_thresholds(bad))
        panel.reduce_options(c.ReduceDataOptions().calcs(["lastNotNull"]))
        if words:
            panel.mappings([dm.ValueMap(options={str(n): dm.ValueMappingResult(text=w) for n, w in words.items()})])
        return panel.with_target(self._target(0, Query(expr)).instant())

    def rows(self, title: str, by: str, units: Mapping[str, str], *queries: Query, about: str = "") -> table.Panel:
        """A table with a row for each value of the label ``by`` and a column for each query; ``units`` by column."""
        panel = table.Panel().title(title).description(about).datasource(DATASOURCE).height(HEIGHT + 2).span(WIDTH)
        for place, query in enumerate(queries):
            panel.with_target(self._target(place, query).instant().format(PromQueryFormat.TABLE))
        names = {f"Value #{_letter(place)}": query.legend for place, query in enumerate(queries)}
        hidden = dict.fromkeys(("Time", *(f"Time {n + 1}" for n in range(len(queries)))), True)
        panel.with_transformation(
            dm.DataTransformerConfig(id_val="joinByField", options={"byField": by, "mode": "outer"})
        )
        panel.with_transformation(
            dm.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden, "renameByName": names})
        )
        for name, unit in units.items():
            panel.override_by_name(name, [dm.DynamicConfigValue("unit", unit)])
        if by == "rule":
            panel.override_by_name(by, [dm.DynamicConfigValue("links", [{"title": "This rule", "url": TO_RULE}])])
        return panel

    def _target(self, place: int, query: Query) -> prometheus.Dataquery:
        target = prometheus.Dataquery().expr(self.scoped(query.expr)).ref_id(_letter(place)).datasource(DATASOURCE)
        return target.legend_format(query.legend) if query.legend else target


def board(uid: str, title: str, about: str, *variables: Any) -> d.Dashboard:
    """A dashboard without panels, with the common variables and ``variables``."""
    made = d.Dashboard(title).uid(uid).description(about).tags(["retrainer"]).editable().time("now-24h", "now")
    made.refresh("1m").timezone("browser").tooltip(dm.DashboardCursorSync.CROSSHAIR)
    link = d.DashboardLink("retrainer").type(dm.DashboardLinkType.DASHBOARDS).tags(["retrainer"])
    made.link(link.as_dropdown(True).include_vars(True).keep_time(True))
    made.with_variable(d.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    made.with_variable(
        _asked("namespace", "Namespace", "label_values(retrainer_build_info, namespace)")
        .include_all(True)
        .all_value(".*")
    )
    for variable in variables:
        made.with_variable(variable)
    return made


def rule_variable() -> d.QueryVariable:
    return _asked("rule", "Rule", f"label_values(retrainer_rule_info{{{NAMESPACE}}}, rule)")


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


def _thresholds(bad: tuple[float, float] | None) -> d.ThresholdsConfig:
    steps = [dm.Threshold(None, GREEN)]
    if bad:
        steps += [dm.Threshold(bad[0], YELLOW), dm.Threshold(bad[1], RED)]
    return d.ThresholdsConfig().mode(dm.ThresholdsMode.ABSOLUTE).steps(steps)


def _letter(place: int) -> str:
    return chr(ord("A") + place)
