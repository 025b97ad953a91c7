"""Dashboard of the daemon: availability, decisions, capacity, and configuration errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as d

from deploy.monitoring.dashboards.kit import ANY, INSTALLATION, Kit, Query, board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder

KIT = Kit()
YES = {0: "no", 1: "yes"}
OURS = f"and on ({INSTALLATION}, instance) retrainer_build_info"
WHERE = "{{cluster}} {{namespace}}/{{job}}"


def operations() -> d.Dashboard:
    about = "Availability, leader, free space, and validity of rule files."
    made = board("retrainer-operations", "retrainer / Operations", about)
    made.annotation(KIT.mark("Restarts"))
    rows = (("Now", _now), ("Alerts", _alerts), ("Objectives", _objectives), ("Store", _store), ("Process", _process))
    for title, panels in rows:
        made.with_row(d.Row(title))
        for panel in panels():
            made.with_panel(panel)
    return made


def _now() -> Iterator[Builder]:
    yield KIT.number("Processes", "none", "count(retrainer_build_info) or vector(0)", least=1, span=3)
    yield KIT.number(
        "Installations without a leader",
        "none",
        f"count(sum by ({INSTALLATION}) (retrainer_leader) != 1) {ANY}",
        about="Each has one leader at any time.",
        bad=(1, 1),
        span=3,
    )
    yield KIT.number("Store accepts writes", "none", "min(retrainer_store_writable)", least=1, words=YES, span=3)
    yield KIT.number(
        "Rule files valid", "none", "min(retrainer_config_last_reload_successful)", least=1, words=YES, span=3
    )
    yield KIT.number("Mistakes in rule files", "none", "max(retrainer_config_file_problems)", bad=(1, 1), span=3)
    yield KIT.number(
        "Files last valid",
        "s",
        "time() - min(retrainer_config_last_reload_success_timestamp_seconds)",
        about="Time since then, of the process that has waited longest.",
        span=3,
    )
    yield KIT.number(
        "Restarts, 1 h",
        "none",
        f"sum(changes(process_start_time_seconds[1h]) {OURS})",
        about="Of processes that keep their address.",
        bad=(1, 3),
        span=3,
    )
    yield KIT.number(
        "Critical alerts",
        "none",
        f'count(ALERTS{{alertname=~"Retrainer.*", alertstate="firing", severity="critical"}}) {ANY}',
        bad=(1, 1),
        span=3,
    )


def _alerts() -> Iterator[Builder]:
    firing = 'ALERTS{alertname=~"Retrainer.*", alertstate="firing"}'
    yield KIT.rows(
        "Firing alerts",
        {},
        Query(f"max by ({INSTALLATION}, alertname, severity, source, rule, team) ({firing})", "Firing"),
        about="`retrainer runbook NAME` says what to do; the name leads there if the chart knows the address.",
    )
    yield KIT.lines(
        "Firing alerts over time",
        "none",
        Query(f"count by (alertname) ({firing})", "{{alertname}}"),
        about="As defined in deploy/monitoring/alerts.yaml.",
        span=24,
        stacked=True,
    )


def _objectives() -> Iterator[Builder]:
    for slo, title, budget in (("latency", "Late", 0.01), ("success", "Failed", 0.05)):
        yield KIT.lines(
            f"{title}: times the rate that uses up the budget in 30 days",
            "none",
            *(
                Query(
                    f"max by ({INSTALLATION}, stage)"
                    f' (job:retrainer_slo_errors:ratio_rate{window}{{slo="{slo}"}}) / {budget}',
                    f"{WHERE} {{{{stage}}}}, {window}",
                )
                for window in ("1h", "6h")
            ),
            about="At 1 all errors that 30 days may have are made in 30 days. Alerts fire at 14.4 (1h) and 6 (6h).",
        )


def _store() -> Iterator[Builder]:
    size = f"max by ({INSTALLATION}) (retrainer_store_size_bytes)"
    yield KIT.lines("Size of the store", "bytes", Query(size, WHERE))
    yield KIT.lines(
        "Free space on its volume",
        "bytes",
        Query(f"min by ({INSTALLATION}) (retrainer_store_free_bytes)", WHERE),
        about="Only for a store in a file.",
    )


def _process() -> Iterator[Builder]:
    yield KIT.lines(
        "Processor",
        "percentunit",
        Query(f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}", "{{instance}}"),
        about="As a fraction of one core.",
    )
    yield KIT.lines("Memory", "bytes", Query(f"process_resident_memory_bytes {OURS}", "{{instance}}"))
    yield KIT.lines("Open files", "none", Query(f"process_open_fds {OURS}", "{{instance}}"))
    yield KIT.lines(
        "Up for",
        "s",
        Query(f"time() - process_start_time_seconds {OURS}", "{{instance}}"),
        about="Resets to zero at a restart.",
    )
    yield KIT.rows(
        "Versions",
        {},
        Query(f"max by ({INSTALLATION}, instance, name, version, python) (retrainer_build_info)", "There"),
        Query(f"max by ({INSTALLATION}, instance) (retrainer_leader)", "Decides"),
    )
