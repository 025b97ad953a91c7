"""Dashboard of all rules: active runs, failures, lateness and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as d

from deploy.monitoring.dashboards.kit import ANY, INSTALLATION, Kit, Query, board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder

KIT = Kit()
OF_RULE = f"{INSTALLATION}, rule"
ENDED = 'phase=~"SUCCEEDED|FAILED|ERROR|CANCELLED|SKIPPED|UNKNOWN"'
FAILED = 'phase=~"FAILED|ERROR|UNKNOWN"'
TEAM = f"* on ({OF_RULE}) group_left (team) topk by ({OF_RULE}) (1, max by ({OF_RULE}, team) (retrainer_rule_info))"
AGE = "time() - max by (cluster, namespace, job, rule) (retrainer_{what}_timestamp_seconds)"


def overview() -> d.Dashboard:
    made = board("retrainer-overview", "retrainer / Overview", "All rules: their runs, late rules, and cost.")
    made.annotation(KIT.mark("Runs failed"))
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
    yield KIT.number("Rules", "none", "count(max by (cluster, namespace, job, rule) (retrainer_rule_info))", span=3)
    yield KIT.number(
        "Active runs", "none", "sum(max by (cluster, namespace, job, rule, phase) (retrainer_runs_active))", span=3
    )
    yield KIT.number(
        "Runs that failed, 24 h", "none", f"sum(increase(retrainer_runs_total{{{FAILED}}}[1d]))", bad=(1, 10), span=3
    )
    yield KIT.number(
        "Rules that fail repeatedly",
        "none",
        f"count(max by ({OF_RULE}) (retrainer_rule_consecutive_failures) >= 3) {ANY}",
        about="At least three failures in a row.",
        bad=(1, 3),
        span=3,
    )
    yield KIT.number(
        "Rules paused because of failures",
        "none",
        f'sum(max by (cluster, namespace, job, rule) (retrainer_rule_paused{{by="failures"}})) {ANY}',
        about="`retrainer resume RULE` lets them go on.",
        bad=(1, 3),
        span=3,
    )
    yield KIT.number(
        "Late rules",
        "none",
        "count(time() - (max by (cluster, namespace, job, rule) (retrainer_last_success_timestamp_seconds)"
        " or max by (cluster, namespace, job, rule) (retrainer_model_untrained_since_timestamp_seconds))"
        f" > 2 * max by ({OF_RULE}) (retrainer_rule_period_seconds)) {ANY}",
        about="No success within two periods.",
        bad=(1, 3),
        span=3,
    )
    yield KIT.number(
        "Sources in trouble",
        "none",
        "count(min by (cluster, namespace, job, source) (retrainer_source_up) == 0"
        " or max by (cluster, namespace, job, source) (retrainer_source_silent) == 1"
        " or max by (cluster, namespace, job, source) (retrainer_source_halted_partitions) > 0)"
        f" {ANY}",
        about="Down, silent, or with a halted partition.",
        bad=(1, 2),
        span=3,
    )
    yield KIT.number(
        "Dead letters", "none", "sum(max by (cluster, namespace, job) (retrainer_dead_letters))", bad=(1, 100), span=3
    )


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
        Query("sum by (phase) (max by (cluster, namespace, job, rule, phase) (retrainer_runs_active))", "{{phase}}"),
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
        {**dict.fromkeys(ages, "s"), "Next fire in": "s", "Pending bytes": "bytes"},
        *(Query(AGE.format(what=what), title) for title, what in ages.items()),
        Query(
            "min by (cluster, namespace, job, rule) (retrainer_next_fire_timestamp_seconds) - time()", "Next fire in"
        ),
        Query("max by (cluster, namespace, job, rule) (retrainer_rule_consecutive_failures)", "Failures in a row"),
        Query(
            f"sum by ({OF_RULE}) (max by ({OF_RULE}, phase) (retrainer_runs_active))",
            "Active runs",
        ),
        Query("max by (cluster, namespace, job, rule) (retrainer_pending_events)", "Pending events"),
        Query("max by (cluster, namespace, job, rule) (retrainer_pending_bytes)", "Pending bytes"),
        about="Current ages and times.",
    )


def _cost() -> Iterator[Builder]:
    spent = "sum by (cluster, namespace, job, rule) (increase(retrainer_run_gpu_seconds_total[$__rate_interval]))"
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
        {"GPU time": "s", "Not promoted": "s", "CPU time": "s"},
        Query(f"sum by (cluster, namespace, job, rule) ({all_of_it})", "GPU time"),
        Query(f"sum by (cluster, namespace, job, rule) ({wasted})", "Not promoted"),
        Query(
            f'sum by ({OF_RULE}) (increase(retrainer_run_resource_seconds_total{{resource="cpu"}}[$__range]))',
            "CPU time",
        ),
    )
    yield KIT.rows(
        "Cost by team, in the selected time range",
        {"GPU time": "s", "Not promoted": "s"},
        Query(f"sum by (team) (sum by (cluster, namespace, job, rule) ({all_of_it}) {TEAM})", "GPU time"),
        Query(
            f"sum by (team) (sum by (cluster, namespace, job, rule) ({wasted}) {TEAM})",
            "Not promoted",
        ),
        about="`team` is a label of the rules; rules without one share a row.",
    )
    yield KIT.lines(
        "Remaining budgets",
        "none",
        Query(
            "min by (cluster, namespace, job, budget, unit) (retrainer_budget_left)",
            "{{namespace}}/{{job}} {{budget}}, {{unit}}",
        ),
        about="In the unit of the budget: runs or GPU hours.",
        span=24,
    )
