"""Dashboard of all rules: active runs, failures, lateness and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as d

from deploy.monitoring.dashboards.kit import Kit, Query, board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder

KIT = Kit()
ENDED = 'phase=~"SUCCEEDED|FAILED|ERROR|CANCELLED|SKIPPED|UNKNOWN"'
FAILED = 'phase=~"FAILED|ERROR|UNKNOWN"'
TEAM = "* on (namespace, rule) group_left (team) max by (namespace, rule, team) (retrainer_rule_info)"
AGE = "time() - max by (rule) (retrainer_{what}_timestamp_seconds)"


def overview() -> d.Dashboard:
    made = board("retrainer-overview", "retrainer / Overview", "All rules: their runs, late rules, and cost.")
    made.with_row(d.Row("Now"))
    for panel in _now():
        made.with_panel(panel)
    made.with_row(d.Row("Runs and decisions"))
    for panel in _runs():
        made.with_panel(panel)
    made.with_row(d.Row("Rules"))
    made.with_panel(_rules())
    made.with_row(d.Row("Cost"))
    for panel in _cost():
        made.with_panel(panel)
    return made


def _now() -> Iterator[Builder]:
    yield KIT.number("Rules", "none", "count(max by (namespace, rule) (retrainer_rule_info))", span=3)
    yield KIT.number("Active runs", "none", "sum(max by (namespace, rule, phase) (retrainer_runs_active))", span=3)
    yield KIT.number(
        "Runs that failed, 24 h", "none", f"sum(increase(retrainer_runs_total{{{FAILED}}}[1d]))", bad=(1, 10), span=3
    )
    yield KIT.number(
        "Rules that fail repeatedly",
        "none",
        "count(max by (namespace, rule) (retrainer_rule_consecutive_failures) >= 3) or vector(0)",
        about="At least three failures in a row.",
        bad=(1, 3),
        span=3,
    )
    yield KIT.number(
        "Rules paused because of failures",
        "none",
        'sum(max by (namespace, rule) (retrainer_rule_paused{by="failures"}))',
        about="`retrainer resume RULE` lets them go on.",
        bad=(1, 3),
        span=3,
    )
    yield KIT.number(
        "Late rules",
        "none",
        "count(time() - (max by (namespace, rule) (retrainer_last_success_timestamp_seconds)"
        " or max by (namespace, rule) (retrainer_model_untrained_since_timestamp_seconds))"
        " > 2 * max by (namespace, rule) (retrainer_rule_period_seconds)) or vector(0)",
        about="No success within two periods.",
        bad=(1, 3),
        span=3,
    )
    yield KIT.number(
        "Sources in trouble",
        "none",
        "count(retrainer_source_up == 0 or retrainer_source_silent == 1 or retrainer_source_halted_partitions > 0)"
        " or vector(0)",
        about="Down, silent, or with a halted partition.",
        bad=(1, 2),
        span=3,
    )
    yield KIT.number("Dead letters", "none", "max(retrainer_dead_letters)", bad=(1, 100), span=3)


def _runs() -> Iterator[Builder]:
    yield KIT.lines(
        "Runs that ended",
        "none",
        Query(f"sum by (phase) (increase(retrainer_runs_total{{{ENDED}}}[$__rate_interval]))", "{{phase}}"),
        stacked=True,
    )
    yield KIT.lines(
        "Active runs",
        "none",
        Query("sum by (phase) (max by (namespace, rule, phase) (retrainer_runs_active))", "{{phase}}"),
    )
    yield KIT.lines(
        "Why runs started",
        "none",
        Query('sum by (reason) (increase(retrainer_decisions_total{decision="fire"}[$__rate_interval]))', "{{reason}}"),
        stacked=True,
    )
    yield KIT.lines(
        "What kept rules from running",
        "none",
        Query(
            'sum by (decision, reason) (increase(retrainer_decisions_total{decision=~"hold|skip"}[$__rate_interval]))',
            "{{decision}}: {{reason}}",
        ),
        about="A hold counts each time something new is evaluated and held.",
        stacked=True,
    )


def _rules() -> Builder:
    ages = {"Last success": "last_success", "Model trained": "model_trained"}
    return KIT.rows(
        "Rules",
        "rule",
        {**dict.fromkeys(ages, "s"), "Next fire in": "s", "Pending bytes": "bytes"},
        *(Query(AGE.format(what=what), title) for title, what in ages.items()),
        Query("max by (rule) (retrainer_next_fire_timestamp_seconds) - time()", "Next fire in"),
        Query("max by (rule) (retrainer_rule_consecutive_failures)", "Failures in a row"),
        Query("sum by (rule) (max by (rule, phase) (retrainer_runs_active))", "Active runs"),
        Query("max by (rule) (retrainer_pending_events)", "Pending events"),
        Query("max by (rule) (retrainer_pending_bytes)", "Pending bytes"),
        about="Current ages and times.",
    )


def _cost() -> Iterator[Builder]:
    spent = "sum by (namespace, rule) (increase(retrainer_run_gpu_seconds_total[$__rate_interval]))"
    yield KIT.lines("GPU time by team", "s", Query(f"sum by (team) ({spent} {TEAM})", "{{team}}"), stacked=True)
    yield KIT.lines(
        "GPU time by promotion of the model",
        "s",
        Query(
            "sum by (promoted) (increase(retrainer_run_gpu_seconds_total[$__rate_interval]))", "promoted: {{promoted}}"
        ),
        about="`false`: used for models that were not promoted.",
        stacked=True,
    )
    all_of_it = "increase(retrainer_run_gpu_seconds_total[$__range])"
    wasted = 'increase(retrainer_run_gpu_seconds_total{promoted="false"}[$__range])'
    yield KIT.rows(
        "Cost by rule, in the selected time range",
        "rule",
        {"GPU time": "s", "Not promoted": "s", "CPU time": "s"},
        Query(f"sum by (rule) ({all_of_it})", "GPU time"),
        Query(f"sum by (rule) ({wasted})", "Not promoted"),
        Query('sum by (rule) (increase(retrainer_run_resource_seconds_total{resource="cpu"}[$__range]))', "CPU time"),
    )
    yield KIT.rows(
        "Cost by team, in the selected time range",
        "team",
        {"GPU time": "s", "Not promoted": "s"},
        Query(f"sum by (team) (sum by (namespace, rule) ({all_of_it}) {TEAM})", "GPU time"),
        Query(
            f"sum by (team) (sum by (namespace, rule) ({wasted}) {TEAM})",
            "Not promoted",
        ),
        about="`team` is a label of the rules; rules without one share a row.",
    )
    yield KIT.lines(
        "Remaining budgets",
        "none",
        Query("min by (budget, unit) (retrainer_budget_left)", "{{budget}}, {{unit}}"),
        about="In the unit of the budget: runs or GPU hours.",
        span=24,
    )
