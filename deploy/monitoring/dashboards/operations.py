"""Dashboard of the daemon: availability, decisions, capacity, and configuration errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as d

from deploy.monitoring.dashboards.kit import Kit, Query, board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder

KIT = Kit()
YES = {0: "no", 1: "yes"}
OURS = "and on (namespace, job, instance) retrainer_build_info"


def operations() -> d.Dashboard:
    about = "Availability, leader, free space, and validity of rule files."
    made = board("retrainer-operations", "retrainer / Operations", about)
    for title, panels in (("Now", _now), ("Alerts", _alerts), ("Store", _store), ("Process", _process)):
        made.with_row(d.Row(title))
        for panel in panels():
            made.with_panel(panel)
    return made


def _now() -> Iterator[Builder]:
    yield KIT.number("Processes", "none", "count(retrainer_build_info)")
    yield KIT.number("Leaders", "none", "sum(retrainer_leader)", about="One, at any time.")
    yield KIT.number("Rule files valid", "none", "min(retrainer_config_last_reload_successful)", words=YES)
    yield KIT.number("Mistakes in rule files", "none", "max(retrainer_config_file_problems)", bad=(1, 1))
    yield KIT.number(
        "Files last valid",
        "s",
        "time() - max(retrainer_config_last_reload_success_timestamp_seconds)",
        about="Time since then.",
    )
    yield KIT.number("Store accepts writes", "none", "min(retrainer_store_writable)", words=YES)


def _alerts() -> Iterator[Builder]:
    yield KIT.lines(
        "Firing alerts",
        "none",
        Query('count by (alertname) (ALERTS{alertname=~"Retrainer.*", alertstate="firing"})', "{{alertname}}"),
        about="As defined in deploy/monitoring/alerts.yaml.",
        span=24,
        stacked=True,
    )


def _store() -> Iterator[Builder]:
    yield KIT.lines("Size of the store", "bytes", Query("max(retrainer_store_size_bytes)", "size"))
    yield KIT.lines(
        "Free space on its volume",
        "bytes",
        Query("min(retrainer_store_free_bytes)", "free"),
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
        "instance",
        {},
        Query("max by (instance, version, python) (retrainer_build_info)", "There"),
        Query("max by (instance) (retrainer_leader)", "Decides"),
    )
