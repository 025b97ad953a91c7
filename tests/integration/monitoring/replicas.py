"""Made-up installations: three replicas that fire the alerts which look at several processes, and single processes."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

LABELS = {"namespace": "lab"}
JOB = "replicas"
DAY = 86400.0
DEAD = "127.0.0.1:9"
"""A replica that does not answer: nothing listens on the discard port."""


class Process(ThreadingHTTPServer):
    """A process whose metrics are made up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exporter)
        self.began = time.monotonic()
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def grown(self) -> int:
        """A counter that grows by a hundred per second."""
        return int(100 * (time.monotonic() - self.began))

    def lines(self) -> list[str]:
        return ['retrainer_build_info{version="1"} 1']

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Replica(Process):
    """Number 0 is the leader; the others have not read the edited label of a rule yet."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()

    def lines(self) -> list[str]:
        """The metrics now. The process restarts every two seconds."""
        grown = self.grown
        team = "new" if self.number == 0 else "old"
        return [
            f'retrainer_build_info{{name="lab",version="1"}} 1\nretrainer_leader {int(self.number == 0)}',
            f"process_start_time_seconds {1e9 + grown // 200}",
            'retrainer_source_lag{source="topic"} 500000',
            f'retrainer_events_received_total{{source="topic"}} {grown if self.number == 0 else 0}',
            f'retrainer_rule_info{{rule="edited",mode="active",team="{team}"}} 1',
            'retrainer_rule_info{rule="broken",mode="active"} 1',
            'retrainer_rule_paused{rule="edited",by="failures"} 1',
            'retrainer_rule_parameters_failed{rule="broken"} 1',
            f"retrainer_submit_attempts_total {grown}",
            f'retrainer_submit_errors_total{{code="403"}} {grown}\nretrainer_submit_errors_total{{code="503"}} 0',
            'retrainer_queue_wait_seconds_bucket{le="5.0"} 0',
            f'retrainer_queue_wait_seconds_bucket{{le="+Inf"}} {grown}',
            f"retrainer_queue_wait_seconds_count {grown}",
            f'retrainer_runs_total{{rule="edited",phase="FAILED"}} {grown}',
            f"retrainer_tls_certificate_expiry_timestamp_seconds {time.time() + DAY:.0f}",
            f"retrainer_store_backup_timestamp_seconds {time.time() - DAY:.0f}",
            f"retrainer_store_max_backup_age_seconds {DAY / 2:.0f}",
        ]


class Sick(Process):
    """One process to which everything happens that did not happen to the replicas."""

    def lines(self) -> list[str]:
        grown, now = self.grown, time.time()
        return [
            *super().lines(),
            "retrainer_leader 0\nretrainer_store_writable 0\nretrainer_config_last_reload_successful 0",
            "retrainer_store_free_bytes 1\nretrainer_store_size_bytes 1e9",
            "retrainer_engine_queue_length 7\nretrainer_engine_transaction_duration_seconds_count 5",
            'retrainer_thread_stuck{thread="engine"} 1\nretrainer_clock_offset_seconds -90',
            'retrainer_queue_wait_seconds_bucket{le="5.0"} 0\nretrainer_queue_wait_seconds_bucket{le="10.0"} 0',
            f'retrainer_queue_wait_seconds_bucket{{le="60.0"}} {grown}',
            f'retrainer_queue_wait_seconds_bucket{{le="+Inf"}} {grown}\nretrainer_queue_wait_seconds_count {grown}',
            f'retrainer_submit_attempts_total {grown}\nretrainer_submit_errors_total{{code="503"}} {grown}',
            f"retrainer_watch_restarts_total {grown}",
            'retrainer_source_up{source="lake"} 0\nretrainer_source_halted_partitions{source="topic"} 1',
            'retrainer_source_silent{source="push"} 1',
            f'retrainer_events_dead_lettered_total{{source="push"}} {grown}',
            'retrainer_rule_info{rule="churn",mode="active",team="growth",severity="page"} 1',
            f'retrainer_model_trained_timestamp_seconds{{rule="churn"}} {now - 9 * DAY:.0f}',
            f'retrainer_rule_period_seconds{{rule="churn"}} {DAY:.0f}',
            f'retrainer_model_max_age_seconds{{rule="churn",of="succeeded"}} {7 * DAY:.0f}',
            'retrainer_rule_consecutive_failures{rule="churn"} 3',
            f'retrainer_runs_total{{rule="churn",phase="UNKNOWN"}} {grown}',
            'retrainer_rule_info{rule="spam",mode="active"} 1\nretrainer_rule_paused{rule="spam",by="quarantine"} 1',
        ]


class Exporter(BaseHTTPRequestHandler):
    server: Process

    def do_GET(self) -> None:
        text = ("\n".join(self.server.lines()) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...
