"""Comparison with Argo Events in one run, on the same broker and cluster: from a Kafka record to its Workflow."""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tests.benchmarks import bare
from tests.benchmarks.cluster import KUBECONFIG, TEMPLATE, Namespace, Watcher
from tests.benchmarks.daemon import Daemon, firing_rule
from tests.benchmarks.figures import Figure, percentile, spread
from tests.benchmarks.load import NAME, kafka_sources
from tests.benchmarks.records import SERVERS, topic
from tests.benchmarks.sender import Producer
from tests.houses.daemon import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.benchmarks.cluster import Cluster

    Reader = Callable[[str, str, Path], AbstractContextManager[None]]
    """Runs a program that creates Workflows from a topic's records in a namespace. The folder is for its files."""

PEER = Path(__file__).parent / "peer" / "peer.sh"
STREAM = "maxMsgs: 50000\nmaxAge: 168h\nmaxBytes: -1\nreplicas: 1\nduplicates: 300s\n"
"""The settings of the Argo Events controller, except for one replica instead of three."""
SECONDS = 30
ROUNDS = 3
BURST = 1000
PATIENCE = 240.0
"""Maximum seconds of a burst: Argo Events creates five Workflows a second."""
WARM_UP = range(-5, 0)
METHOD = (
    "retrainer (SQLite, synchronous=FULL) and Argo Events v1.9.7 (EventSource and Sensor built from its Go module, its "
    "JetStream bus on files with one replica and no fsync of each message), by turns on the same broker, API server "
    "and Argo controller, all on one machine; each record starts one Workflow of a suspended template. From right "
    "before the producer's send until the Workflow reaches a second watcher. "
)


def at_5(cluster: Cluster) -> list[Figure]:
    """The daemon alternates with Argo Events and the bare loop."""
    subprocess.run([PEER, "build"], check=True)
    return _at_5([{name: _steady(cluster, reader, 5) for name, reader in READERS.items()} for _ in range(ROUNDS)])


def under_load(cluster: Cluster) -> list[Figure]:
    """A load above the client limit of Argo Events: five requests a second."""
    subprocess.run([PEER, "build"], check=True)
    both = {name: READERS[name] for name in ("ours", "peer")}
    at_20 = {name: _steady(cluster, reader, 20) for name, reader in both.items()}
    return [*_at_20(at_20), *_bursts({name: _burst(cluster, reader) for name, reader in both.items()})]


@contextmanager
def ours(topic: str, namespace: str, folder: Path) -> Iterator[None]:
    with Daemon(folder, namespace, [firing_rule(source=NAME)], kafka_sources(topic)):
        yield


@contextmanager
def bare_loop(topic: str, namespace: str, _folder: Path) -> Iterator[None]:
    with bare.running(topic, namespace):
        yield


@contextmanager
def peer(topic: str, namespace: str, folder: Path) -> Iterator[None]:
    """Argo Events as its controller would run it: bus, EventSource and Sensor, one process each."""
    port = free_port()
    bus = {"jetstream": {"url": f"nats://127.0.0.1:{port}", "streamConfig": STREAM}}
    environment = {
        **os.environ,
        "KUBECONFIG": str(KUBECONFIG),
        "EVENTBUS_CONFIG": _encoded(bus),
        "EVENTBUS_SUBJECT": "events",
        "NAMESPACE": namespace,
        "EVENTSOURCE_OBJECT": _encoded(_event_source(topic, namespace)),
        "SENSOR_OBJECT": _encoded(_sensor(namespace)),
    }
    commands = [["bus", str(port), str(folder / "bus")]]
    commands += [["run", service, str(folder / service)] for service in ("eventsource-service", "sensor-service")]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{command[1]}.log").open("wb") as log:
                pod = {**environment, "POD_NAME": f"{command[1]}-0"}
                processes.append(subprocess.Popen([PEER, *command], env=pod, stdout=log, stderr=log))
            time.sleep(1)  # the bus answers before it is ready
        yield
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


READERS: dict[str, Reader] = {"ours": ours, "peer": peer, "bare": bare_loop}


def _encoded(value: dict[str, Any]) -> str:
    return base64.b64encode(orjson.dumps(value)).decode()


def _event_source(topic: str, namespace: str) -> dict[str, Any]:
    group = {"groupName": f"peer-{topic}", "oldest": True, "rebalanceStrategy": "range"}
    kafka = {"url": SERVERS, "topic": topic, "jsonBody": True, "consumerGroup": group, "version": "2.8.0"}
    meta = {"name": "kafka", "namespace": namespace}
    return {"metadata": meta, "spec": {"eventBusName": "default", "kafka": {"records": kafka}}}


def _sensor(namespace: str) -> dict[str, Any]:
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "peer-", "namespace": namespace},
        "spec": {
            "workflowTemplateRef": {"name": TEMPLATE},
            "arguments": {"parameters": [{"name": "event", "value": ""}]},
        },
    }
    place = {"src": {"dependencyName": "record", "dataKey": "body.n"}, "dest": "spec.arguments.parameters.0.value"}
    create = {"operation": "create", "source": {"resource": workflow}, "parameters": [place]}
    return {
        "metadata": {"name": "bench", "namespace": namespace},
        "spec": {
            "eventBusName": "default",
            "dependencies": [{"name": "record", "eventSourceName": "kafka", "eventName": "records"}],
            "triggers": [{"template": {"name": "workflow", "k8s": create}}],
        },
    }


@contextmanager
def _warm(cluster: Cluster, reader: Reader) -> Iterator[tuple[Producer, Watcher]]:
    """A reader of a new topic that has already created the Workflows of the first records."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Namespace(cluster) as namespace,
        topic() as name,
        reader(name, namespace.name, Path(folder)),
    ):
        sender, watcher = Producer(name), Watcher(namespace)
        sender.all_at_once(WARM_UP)
        if not watcher.wait_for(len(WARM_UP), 60):
            logs = "\n".join(log.read_text()[-1500:] for log in Path(folder).glob("*log"))
            raise RuntimeError(f"no Workflow appeared within 60 s of the first records\n{logs}")
        yield sender, watcher
        sender.close()


def _steady(cluster: Cluster, reader: Reader, per_second: int) -> dict[str, Any]:
    with _warm(cluster, reader) as (sender, watcher):
        sender.at_rate(per_second, SECONDS)
        watcher.wait_for(per_second * SECONDS + len(WARM_UP), 120)
        seen = {int(a.event): a.at for a in watcher.added if int(a.event) >= 0}
        return {**spread(at - sender.sent[n] for n, at in seen.items()), "sent": per_second * SECONDS}


def _burst(cluster: Cluster, reader: Reader) -> dict[str, Any]:
    with _warm(cluster, reader) as (sender, watcher):
        sender.all_at_once(range(BURST))
        watcher.wait_for(BURST + len(WARM_UP), PATIENCE)
        added = [a for a in watcher.added if int(a.event) >= 0]
        took = max(a.at for a in added) - min(sender.sent[n] for n in range(BURST))
        return {"workflows": len(added), "seconds": round(took, 2), "per_second": round(len(added) / took, 1)}


def _at_5(rounds: list[dict[str, dict[str, Any]]]) -> list[Figure]:
    method = METHOD + f"5 records a second for {SECONDS} s, open loop; the median of {ROUNDS} rounds."
    floor = method + " A bare Python loop in their place: consume, create, commit to the broker; it stores nothing."
    figures = []
    for name in ("p50", "p99"):
        of = {who: percentile([one[who][f"{name}_ms"] for one in rounds], 0.5) for who in READERS}
        detail = {"rounds": [{who: one[who] for who in READERS} for one in rounds]}
        figures += [
            Figure(f"peers_5_per_s_{name}", of["ours"], "ms", method, of["peer"], detail=detail),
            Figure(f"peers_5_per_s_argo_events_{name}", of["peer"], "ms", method),
            Figure(f"peers_5_per_s_bare_{name}", of["bare"], "ms", floor),
        ]
    return figures


def _at_20(found: dict[str, dict[str, Any]]) -> list[Figure]:
    method = METHOD + f"20 records a second for {SECONDS} s, open loop."
    ours, theirs = found["ours"]["p50_ms"], found["peer"]["p50_ms"]
    return [
        Figure("peers_20_per_s_p50", ours, "ms", method, theirs, detail=found["ours"]),
        Figure("peers_20_per_s_argo_events_p50", theirs, "ms", method, detail=found["peer"]),
    ]


def _bursts(found: dict[str, dict[str, Any]]) -> list[Figure]:
    method = METHOD + f"{BURST} records at once; Workflows a second from the first send to the last Workflow."
    ours, theirs = found["ours"]["per_second"], found["peer"]["per_second"]
    return [
        Figure("peers_burst", ours, "1/s", method, theirs, at_least=True, detail=found["ours"]),
        Figure("peers_burst_argo_events", theirs, "1/s", method, detail=found["peer"]),
    ]
