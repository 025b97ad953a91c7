"""A daemon with ten thousand rules: start time, memory, and the cost of showing them."""

from __future__ import annotations

import gzip
import http.client
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES = 10_000
REPETITIONS = 5
WHAT = f"{RULES} rules of three triggers (schedule, data with match and where, freshness) on the local engine, SQLite. "


def _rule(number: int) -> dict[str, Any]:
    data = {
        "source": "push",
        "match": {"model": f"m-{number}"},
        "where": "event.data.size > 10",
        "batch": {"at_least": {"events": 100}},
    }
    return {
        "name": f"rule-{number:05d}",
        "labels": {"team": f"team-{number % 20}"},
        "triggers": {
            "nightly": {"schedule": {"cron": f"{number % 60} 3 1 1 *"}},
            "new": {"data": data},
            "old": {"freshness": {"max_age": "7d"}},
        },
        "submit": {"workflow_template": "waits", "parameters": {"model": f"m-{number}", "events": "${window.events}"}},
    }


def ten_thousand_rules() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder), "", [_rule(n) for n in range(RULES)])
        try:
            first = daemon.begin()
            daemon.stop()
            again = daemon.begin()
            ready_mib, cpu = daemon.resident_mib(), daemon.cpu_seconds()
            page = _timed(daemon.port, "/api/v1/rules?limit=50")
            one = _timed(daemon.port, f"/api/v1/rules/rule-{RULES // 2:05d}")
            scrape = _timed(daemon.port, "/metrics", {"Accept-Encoding": "gzip"})
            memory = max(ready_mib, daemon.resident_mib())
        finally:
            daemon.kill()
    start = {"first_start_s": round(first, 2), "cpu_s": round(cpu, 2)}
    text = {"text_mb": round(len(gzip.decompress(scrape[1])) / 1e6, 1)}
    ask = f"Over HTTP/1.1, one after the other, the median of {REPETITIONS}."
    return [
        Figure(
            "rules_10000_start", round(again, 2), "s", f"{WHAT}Until /readyz is 200, the second start.", 8, detail=start
        ),
        Figure(
            "rules_10000_memory",
            round(memory * 1.048576, 1),
            "MB",
            f"{WHAT}VmRSS when ready or after the requests of the other figures, whichever is more.",
            250,
            detail={"when_ready_mib": round(ready_mib, 1)},
        ),
        Figure("rules_10000_page", page[0], "ms", f"{WHAT}GET /rules?limit=50. {ask}", 150),
        Figure("rules_10000_one", one[0], "ms", f"{WHAT}GET /rules/RULE. {ask}", 20),
        Figure(
            "rules_10000_scrape", scrape[0], "ms", f"{WHAT}GET /metrics with the defaults. {ask}", 1000, detail=text
        ),
        Figure(
            "rules_10000_scrape_size", round(len(scrape[1]) / 1e6, 3), "MB", f"{WHAT}The same, compressed by gzip.", 1
        ),
    ]


def _timed(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[float, bytes]:
    """Milliseconds of the requests, and the body of the last response."""
    took, body = [], b""
    for _ in range(REPETITIONS):
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        began = time.monotonic()
        conn.request("GET", path, headers=dict(headers or {}))
        answer = conn.getresponse()
        body = answer.read()
        took.append(time.monotonic() - began)
        conn.close()
        if answer.status != 200:
            raise RuntimeError(f"{path} answers {answer.status}: {body[:500]!r}")
    return round(1000 * median(took), 1), body
