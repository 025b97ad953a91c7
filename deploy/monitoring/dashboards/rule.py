"""Dashboard of one rule: why it runs or does not run, its runs, and the quality of its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as d

from deploy.monitoring.dashboards.kit import RULE, Kit, Query, board, rule_variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder

KIT = Kit(RULE)


def rule() -> d.Dashboard:
    about = "One rule. `retrainer explain RULE` shows more."
    made = board("retrainer-rule", "retrainer / Rule", about, rule_variable(), every=False)
    for mark in ("Runs started", "Runs failed"):
        made.annotation(KIT.mark(mark))
    for title, panels in (("Now", _now), ("Why", _why), ("Runs", _runs), ("Models", _models)):
        made.with_row(d.Row(title))
        for panel in panels():
            made.with_panel(panel)
    return made


def _now() -> Iterator[Builder]:
    yield KIT.number(
        "Paused",
        "none",
        "max(retrainer_rule_paused)",
        about="Manually, by `mode: paused`, or because of failures.",
        bad=(1, 1),
        words={0: "no", 1: "paused"},
    )
    yield KIT.number(
        "Last success", "s", "time() - max(retrainer_last_success_timestamp_seconds)", about="Time since then."
    )
    yield KIT.number(
        "Last start", "s", "time() - max(retrainer_last_fired_timestamp_seconds)", about="Time since then."
    )
    yield KIT.number(
        "Next start in",
        "s",
        "min(retrainer_next_fire_timestamp_seconds) - time()",
        about="The earliest slot of its schedules.",
    )
    yield KIT.number(
        "Parameters",
        "none",
        "max(retrainer_rule_parameters_failed)",
        about="Whether they could be computed for the last run.",
        bad=(1, 1),
        words={0: "good", 1: "failed"},
    )
    yield KIT.number("Failures in a row", "none", "max(retrainer_rule_consecutive_failures)", bad=(1, 3))
    yield KIT.number("Active runs", "none", "sum(max by (phase) (retrainer_runs_active))")


def _why() -> Iterator[Builder]:
    yield KIT.lines(
        "Decisions",
        "none",
        Query(
            "sum by (decision, reason) (increase(retrainer_decisions_total[$__rate_interval]))",
            "{{decision}}: {{reason}}",
        ),
        about="A hold counts each time something new is evaluated and held; the passing of time alone does not count.",
        stacked=True,
    )
    yield KIT.lines(
        "Values and thresholds",
        "none",
        Query("max by (trigger) (retrainer_metric_value)", "{{trigger}}"),
        Query("max by (trigger) (retrainer_metric_threshold)", "{{trigger}}: threshold"),
        about="With several series and keys, the value that is closest to crossing the threshold, or furthest past it.",
        signed=True,
    )
    yield KIT.lines(
        "Pending data",
        "none",
        Query("max(retrainer_pending_events)", "events"),
        Query("max(retrainer_pending_rows)", "rows"),
    )
    yield KIT.lines("Pending data, in bytes", "bytes", Query("max(retrainer_pending_bytes)", "bytes"))


def _runs() -> Iterator[Builder]:
    yield KIT.lines(
        "Runs by the phases they entered",
        "none",
        Query("sum by (phase) (increase(retrainer_runs_total[$__rate_interval]))", "{{phase}}"),
        stacked=True,
    )
    duration = "sum by (le, phase) (rate(retrainer_run_duration_seconds_bucket[$__rate_interval]))"
    yield KIT.lines(
        "Duration of runs",
        "s",
        Query(f"histogram_quantile(0.5, {duration})", "{{phase}}, median"),
        Query(f"histogram_quantile(0.95, {duration})", "{{phase}}, 95th percentile"),
        about="From start to end of the Workflow; only while runs end.",
    )
    yield KIT.lines(
        "Resources used by runs",
        "s",
        Query("sum by (resource) (increase(retrainer_run_resource_seconds_total[$__rate_interval]))", "{{resource}}"),
        about="As Argo counts: seconds of a GPU or CPU; memory in units of 100 MiB.",
        stacked=True,
    )
    yield KIT.lines(
        "GPU time by promotion of the model",
        "s",
        Query(
            "sum by (promoted) (increase(retrainer_run_gpu_seconds_total[$__rate_interval]))", "promoted: {{promoted}}"
        ),
        stacked=True,
    )


def _models() -> Iterator[Builder]:
    yield KIT.lines(
        "Age of the model",
        "s",
        Query("time() - min(retrainer_model_trained_timestamp_seconds)", "trained"),
        Query("time() - min(retrainer_model_promoted_timestamp_seconds)", "promoted"),
        Query("min by (of) (retrainer_model_max_age_seconds)", "most, {{of}}"),
        about="With keys, of the oldest.",
    )
    yield KIT.lines(
        "Outputs of its runs",
        "none",
        Query("max by (output) (retrainer_run_output)", "{{output}}"),
        about="Of the last run that had them.",
        signed=True,
    )
    yield Kit().lines(
        "Remaining budget of the rule",
        "none",
        Query('min by (unit) (retrainer_budget_left{budget="rule/$rule"})', "{{unit}}"),
        about="In the unit of the budget: runs or GPU hours. Shared budgets are on the overview.",
    )
