"""Dashboard of sources and engine: incoming events, and the latency from event to Workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as d

from deploy.monitoring.dashboards.kit import INSTALLATION, Kit, Query, board, quantiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder

KIT = Kit()
OF_SOURCE = f"{INSTALLATION}, source"
OUTCOMES = ("matched", "filtered", "duplicate", "dead_lettered", "ignored")


def sources_and_engine() -> d.Dashboard:
    about = "Incoming events, and the time from an event to its Workflow."
    made = board("retrainer-sources-and-engine", "retrainer / Sources and engine", about)
    for title, panels in (("Sources", _sources), ("Engine", _engine), ("Submission and watch", _submitting)):
        made.with_row(d.Row(title))
        for panel in panels():
            made.with_panel(panel)
    return made


def _sources() -> Iterator[Builder]:
    yield KIT.rows(
        "Sources",
        {"Last event": "s"},
        Query("min by (cluster, namespace, job, source) (retrainer_source_up)", "Up"),
        Query("sum by (cluster, namespace, job, source) (retrainer_source_lag)", "Waiting records"),
        Query(
            "time() - max by (cluster, namespace, job, source) (retrainer_source_last_event_timestamp_seconds)",
            "Last event",
        ),
        Query("max by (cluster, namespace, job, source) (retrainer_source_silent)", "Silent"),
        Query("sum by (cluster, namespace, job, source) (retrainer_source_halted_partitions)", "Halted partitions"),
        Query(
            "sum by (cluster, namespace, job, source) (increase(retrainer_source_poll_errors_total[$__range]))",
            "Failed polls",
        ),
        about="The current state; `retrainer sources show NAME` says why.",
    )
    yield KIT.lines(
        "Events by source",
        "short",
        Query(
            "sum by (cluster, namespace, job, source) (rate(retrainer_events_received_total[$__rate_interval]))",
            "{{namespace}}/{{job}} {{source}}",
        ),
        about="Per second.",
    )
    yield KIT.lines(
        "Events by outcome",
        "short",
        *(Query(f"sum(rate(retrainer_events_{word}_total[$__rate_interval]))", word) for word in OUTCOMES),
        about="Per second. The sum is the number of received events.",
    )
    yield KIT.lines(
        "Waiting records",
        "short",
        Query("sum by (cluster, namespace, job, source) (retrainer_source_lag)", "{{namespace}}/{{job}} {{source}}"),
    )
    yield KIT.lines(
        "Failed polls and dead letters",
        "none",
        Query(
            "sum by (cluster, namespace, job, source) (increase(retrainer_source_poll_errors_total[$__rate_interval]))",
            "{{namespace}}/{{job}} {{source}}: failed polls",
        ),
        Query(
            f"sum by ({OF_SOURCE}) (increase(retrainer_events_dead_lettered_total[$__rate_interval]))",
            "{{namespace}}/{{job}} {{source}}: dead letters",
        ),
    )


def _engine() -> Iterator[Builder]:
    yield KIT.lines(
        "Wait of events for the engine",
        "s",
        *quantiles("retrainer_queue_wait_seconds"),
        about="Only while events arrive.",
    )
    yield KIT.lines(
        "Events waiting for the engine",
        "none",
        Query("max by (cluster, namespace, job) (retrainer_engine_queue_length)", "{{namespace}}/{{job}}"),
    )
    yield KIT.lines("Duration of a transaction", "s", *quantiles("retrainer_engine_transaction_duration_seconds"))
    yield KIT.lines(
        "Transactions",
        "short",
        Query("sum(rate(retrainer_engine_transaction_duration_seconds_count[$__rate_interval]))", "a second"),
    )
    yield KIT.lines(
        "From a slot to its run",
        "s",
        *quantiles("retrainer_schedule_lag_seconds"),
        about="Includes jitter; only while schedules start runs.",
    )
    yield KIT.lines(
        "From the creation of a run to its Workflow",
        "s",
        *quantiles("retrainer_run_submit_latency_seconds"),
        about="Includes waiting for a pool; only while runs start.",
    )


def _submitting() -> Iterator[Builder]:
    yield KIT.lines(
        "Requests to create a Workflow",
        "none",
        Query("sum(increase(retrainer_submit_attempts_total[$__rate_interval]))", "requests"),
        Query("sum by (code) (increase(retrainer_submit_errors_total[$__rate_interval]))", "{{code}}"),
    )
    yield KIT.lines(
        "Watches that restarted",
        "none",
        Query("sum(increase(retrainer_watch_restarts_total[$__rate_interval]))", "because of an error"),
    )
