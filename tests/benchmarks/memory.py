"""Resident memory with many rules."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.cluster import Namespace
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import Figure
from tests.benchmarks.sender import Sender

if TYPE_CHECKING:
    from tests.benchmarks.cluster import Cluster

RULES = 1000


def _rule(number: int) -> dict[str, Any]:
    """A typical rule with data, a condition and a schedule. No run starts during the measurement."""
    data = {
        "source": "push",
        "match": {"model": f"model-{number}"},
        "where": "event.data.size > 10",
        "batch": {"at_least": {"events": 1000}, "max_wait": "6h"},
    }
    nightly = {"cron": f"{number % 60} 3 1 1 *", "timezone": "Europe/Vienna"}
    return {
        "name": f"rule-{number}",
        "description": "Retrained on enough new data, and once a year.",
        "triggers": {"data": {"data": data}, "yearly": {"schedule": nightly}},
        "limits": {"cooldown": {"period": "6h"}},
        "submit": {
            "workflow_template": "waits",
            "parameters": {"events": "${window.events}", "model": "${key}"},
            "timeout": "2h",
        },
    }


def resident(cluster: Cluster) -> list[Figure]:
    rules = [_rule(n) for n in range(RULES)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Namespace(cluster) as namespace,
        Daemon(Path(folder), namespace.name, rules) as daemon,
    ):
        ready = daemon.resident_mib()
        sender = Sender(daemon.port)
        for n in range(3 * RULES):
            sender.send_body(n, {"model": f"model-{n % RULES}", "size": 100, "n": n})
        busy = daemon.resident_mib()
    method = (
        f"VmRSS of the daemon with the Argo engine and {RULES} rules (a data trigger with match and where, a schedule, "
        f"two parameters, a cooldown), after {3 * RULES} webhook events, three for each rule."
    )
    detail = {"when_ready_mib": round(ready, 1)}
    return [Figure("resident_memory_1000_rules", round(busy * 1.048576, 1), "MB", method, 150, detail=detail)]
