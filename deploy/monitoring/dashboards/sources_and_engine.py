"""Dashboard of sources and engine: incoming events, and the latency from event to Workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as d

from deploy.monitoring.dashboards.kit import Kit, Query, board, quantiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder

KIT = Kit()
OUTCOMES = ("matched", "filtered", "duplicate", "dead_lettered", "ignored")


def sources_and_engine() -> d.Dashboard:
    about = "What comes in, and how fast it goes from there to a Workflow."
    made = board("retrainer-sources-and-engine", "retrainer / Sources and engine", about)
    for title, panels in (("Sources", _sources), ("Engine", _engine), ("Submitting and watching", _submitting)):
        made.with_row(d.Row(title))
        for panel in panels():
            made.with_panel(panel)
    return made


def _sources() -> Iterator[Builder]:
    yield KIT.rows(
        "Sources",
        "source",
        {"Last event": "s"},
        Query("min by (source) (retrainer_source_up)", "Up"),
        Query("max by (source) (retrainer_source_lag)", "Waiting records"),
        Query("time() - max by (source) (retrainer_source_last_event_timestamp_seconds)", "Last event"),
        Query("max by (source) (retrainer_source_silent)", "Silent"),
        Query("max by (source) (retrainer_source_halted_partitions)", "Halted parts"),
        Query("sum by (source) (increase(retrainer_source_poll_errors_total[$__range]))", "Failed looks"),
        about="As they are now; `retrainer sources show NAME` says why.",
    )
    yield KIT.lines(
        "Events by source",
        "short",
        Query("sum by (source) (rate(retrainer_events_received_total[$__rate_interval]))", "{{source}}"),
        about="A second.",
    )
    yield KIT.lines(
        "Events by what became of them",
        "short",
        *(Query(f"sum(rate(retrainer_events_{word}_total[$__rate_interval]))", word) for word in OUTCOMES),
        about="A second. They add up to what was received.",
    )
    yield KIT.lines("Waiting records", "short", Query("max by (source) (retrainer_source_lag)", "{{source}}"))
    yield KIT.lines(
        "Failed looks and dead letters",
        "none",
        Query(
            "sum by (source) (increase(retrainer_source_poll_errors_total[$__rate_interval]))",
            "{{source}}: failed looks",
        ),
        Query(
            "sum by (source) (increase(retrainer_events_dead_lettered_total[$__rate_interval]))",
            "{{source}}: dead letters",
        ),
    )


def _engine() -> Iterator[Builder]:
    yield KIT.lines(
        "How long events wait for the engine",
        "s",
        *quantiles("retrainer_queue_wait_seconds"),
        about="While events come.",
    )
    yield KIT.lines("Events that wait for the engine", "none", Query("max(retrainer_engine_queue_length)", "events"))
    yield KIT.lines("How long a transaction takes", "s", *quantiles("retrainer_engine_transaction_duration_seconds"))
    yield KIT.lines(
        "Transactions",
        "short",
        Query("sum(rate(retrainer_engine_transaction_duration_seconds_count[$__rate_interval]))", "a second"),
    )
    yield KIT.lines(
        "From a slot to its run",
        "s",
        *quantiles("retrainer_schedule_lag_seconds"),
        about="Jitter included; while schedules start runs.",
    )
    yield KIT.lines(
        "From a run's birth to its Workflow",
        "s",
        *quantiles("retrainer_run_submit_latency_seconds"),
        about="Waiting for a pool included; while runs start.",
    )


def _submitting() -> Iterator[Builder]:
    yield KIT.lines(
        "Requests to create a Workflow",
        "none",
        Query("sum(increase(retrainer_submit_attempts_total[$__rate_interval]))", "asked"),
        Query("sum by (code) (increase(retrainer_submit_errors_total[$__rate_interval]))", "{{code}}"),
    )
    yield KIT.lines(
        "Watches that began anew",
        "none",
        Query("sum(increase(retrainer_watch_restarts_total[$__rate_interval]))", "because of an error"),
    )
