"""Three made-up replicas of one installation, in a state that fires the alerts which look at several processes."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

LABELS = {"namespace": "lab"}
JOB = "replicas"
DAY = 86400.0
DEAD = "127.0.0.1:9"
"""A replica that does not answer: nothing listens on the discard port."""


class Replica(ThreadingHTTPServer):
    """Number 0 is the leader; the others have not read the edited label of a rule yet."""

    daemon_threads = True

    def __init__(self, number: int) -> None:
        super().__init__(("127.0.0.1", 0), Exporter)
        self.number, self.began = number, time.monotonic()
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def text(self) -> str:
        """The metrics now. Counters grow by some per second; the process restarts every two seconds."""
        age = time.monotonic() - self.began
        grown = int(100 * age)
        team = "new" if self.number == 0 else "old"
        lines = [
            f'retrainer_build_info{{name="lab",version="1"}} 1\nretrainer_leader {int(self.number == 0)}',
            f"process_start_time_seconds {1e9 + age // 2}",
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
        return "\n".join(lines) + "\n"


class Exporter(BaseHTTPRequestHandler):
    server: Replica

    def do_GET(self) -> None:
        text = self.server.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...
