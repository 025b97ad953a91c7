"""Latency from the POST of an event, or from a Kafka record, to its Workflow: at a steady rate and in a burst."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import bare
from tests.benchmarks.cluster import Namespace, Watcher
from tests.benchmarks.daemon import Daemon, firing_rule
from tests.benchmarks.figures import Figure, percentile, spread
from tests.benchmarks.load import NAME, kafka_sources
from tests.benchmarks.records import topic
from tests.benchmarks.sender import Producer, Sender

if TYPE_CHECKING:
    from tests.benchmarks.cluster import Cluster

SECONDS = 30
ROUNDS = 3
BURST = 1000
WARM_UP = range(-5, 0)
METHOD = (
    "The daemon is a process of its own with its defaults (SQLite, synchronous=FULL, 4 connections) on the real API "
    "server and Argo controller, all on one machine; one rule with overlap allow_all whose WorkflowTemplate suspends. "
    "{load} Measured from right before the sender's POST until the ADDED event of the Workflow that carries the "
    "event's number reaches a second watcher; both ends on time.monotonic of the measuring process."
)

KAFKA_METHOD = METHOD.replace("sender's POST", "producer's send (acks from all, no lingering, a broker on the machine)")


def steady(cluster: Cluster, per_second: int) -> dict[str, Any]:
    """Events by webhook."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Namespace(cluster) as namespace,
        Daemon(Path(folder), namespace.name, [firing_rule()]) as daemon,
    ):
        return _at_rate(namespace, daemon, Sender(daemon.port), per_second)


def steady_kafka(cluster: Cluster, per_second: int) -> dict[str, Any]:
    """Records of a topic."""
    with tempfile.TemporaryDirectory() as folder, Namespace(cluster) as namespace, topic() as name:
        rule = firing_rule(source=NAME)
        with Daemon(Path(folder), namespace.name, [rule], kafka_sources(name)) as daemon:
            sender = Producer(name)
            detail = _at_rate(namespace, daemon, sender, per_second)
            sender.close()
            return detail


def bare_kafka(cluster: Cluster, per_second: int) -> dict[str, Any]:
    """The same with the bare loop in place of the daemon."""
    with Namespace(cluster) as namespace, topic() as name, bare.running(name, namespace.name):
        sender = Producer(name)
        detail = _send_at_rate(Watcher(namespace), sender, per_second)
        sender.close()
        return detail


def _at_rate(namespace: Namespace, daemon: Daemon, sender: Sender | Producer, per_second: int) -> dict[str, Any]:
    cpu = daemon.cpu_seconds()
    detail = _send_at_rate(Watcher(namespace), sender, per_second)
    cpu = daemon.cpu_seconds() - cpu
    return {**detail, "daemon_cpu_ms_per_event": round(1000 * cpu / (per_second * SECONDS), 2)}


def _send_at_rate(watcher: Watcher, sender: Sender | Producer, per_second: int) -> dict[str, Any]:
    _warm_up(sender, watcher)
    sender.at_rate(per_second, SECONDS)
    watcher.wait_for(per_second * SECONDS + len(WARM_UP), 30)
    answers = [sender.answered[n] - sender.sent[n] for n in sender.answered if n >= 0]
    seen = {int(a.event): a.at for a in watcher.added if int(a.event) >= 0}
    return {
        **spread(at - sender.sent[n] for n, at in seen.items()),
        "sent": per_second * SECONDS,
        "answer": spread(answers),
    }


def at_5(cluster: Cluster) -> list[Figure]:
    detail = steady(cluster, 5)
    method = METHOD.format(load=f"5 events a second for {SECONDS} s, open loop.")
    return [
        Figure("event_to_workflow_5_per_s_p50", detail["p50_ms"], "ms", method, 15, detail=detail),
        Figure("event_to_workflow_5_per_s_p99", detail["p99_ms"], "ms", method, 120, detail=detail),
    ]


def at_20(cluster: Cluster) -> list[Figure]:
    detail = steady(cluster, 20)
    method = METHOD.format(load=f"20 events a second for {SECONDS} s, open loop.")
    return [Figure("event_to_workflow_20_per_s_p99", detail["p99_ms"], "ms", method, 150, detail=detail)]


def kafka_at_5(cluster: Cluster) -> list[Figure]:
    """Alternates with the bare loop. Each figure is the median of three rounds."""
    rounds = [(steady_kafka(cluster, 5), bare_kafka(cluster, 5)) for _ in range(ROUNDS)]
    ours, bares = [ours for ours, _ in rounds], [bare for _, bare in rounds]
    method = KAFKA_METHOD.format(load=f"5 records a second for {SECONDS} s, open loop; the median of {ROUNDS} rounds.")
    beside = method + " In the daemon's place a bare loop that consumes, creates and commits, by turns with it."
    p50, bare_p50 = (percentile([one["p50_ms"] for one in side], 0.5) for side in (ours, bares))
    p99 = percentile([one["p99_ms"] for one in ours], 0.5)
    return [
        Figure("record_to_workflow_5_per_s_p50", p50, "ms", method, 15, detail={"rounds": ours}),
        Figure("record_to_workflow_5_per_s_p99", p99, "ms", method, 120, detail={"rounds": ours}),
        Figure("record_to_workflow_5_per_s_bare_p50", bare_p50, "ms", beside, detail={"rounds": bares}),
    ]


def kafka_at_50(cluster: Cluster) -> list[Figure]:
    detail = steady_kafka(cluster, 50)
    method = KAFKA_METHOD.format(load=f"50 records a second for {SECONDS} s, open loop.")
    return [Figure("record_to_workflow_50_per_s_p99", detail["p99_ms"], "ms", method, 300, detail=detail)]


def burst(cluster: Cluster) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, Namespace(cluster) as namespace:
        with Daemon(Path(folder), namespace.name, [firing_rule()]) as daemon:
            watcher, sender = Watcher(namespace), Sender(daemon.port)
            _warm_up(sender, watcher)
            cpu = daemon.cpu_seconds()
            sender.all_at_once(range(BURST))
            watcher.wait_for(BURST + len(WARM_UP), 120)
            cpu = daemon.cpu_seconds() - cpu
            watcher.wait_for(BURST + len(WARM_UP) + 1, 5)  # time for a surplus Workflow to appear
        added = [a for a in watcher.added if int(a.event) >= 0]
        began = min(sender.sent[n] for n in range(BURST))
        took = max(a.at for a in added) - began
        numbers = [a.event for a in added]
        detail = {
            "seconds": round(took, 2),
            "accepting_seconds": round(max(sender.answered.values()) - began, 2),
            "daemon_cpu_ms_per_event": round(1000 * cpu / BURST, 2),
            "event_to_workflow": spread(a.at - sender.sent[int(a.event)] for a in added),
        }
    method = METHOD.format(load=f"{BURST} events, each a POST of its own, over 8 connections as fast as they go.")
    lost, twice = BURST - len(set(numbers)), len(numbers) - len(set(numbers))
    each = "Events of the burst without a Workflow, and Workflows beyond one for an event, 5 s after the last."
    return [
        Figure("burst_workflows_per_second", round(len(added) / took, 1), "1/s", method, 100, True, detail),
        Figure("burst_lost", lost, "events", each, 0),
        Figure("burst_twice", twice, "workflows", each, 0),
    ]


def _warm_up(sender: Sender | Producer, watcher: Watcher) -> None:
    """Exclude the first run, which reads the template and opens connections, from every figure."""
    sender.all_at_once(WARM_UP)
    if not watcher.wait_for(len(WARM_UP), 30):
        raise RuntimeError("no Workflow appeared within 30 s of the first events")
