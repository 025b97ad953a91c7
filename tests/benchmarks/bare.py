"""The minimal consumer: read a record, create its Workflow, commit. No decision and no store.

Measured next to the daemon, on the same servers at the same time, it gives the share of a latency that is due to
the servers.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kafka import KafkaConsumer

from tests.benchmarks.cluster import ARGO, TEMPLATE, Cluster
from tests.benchmarks.records import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOP = "from tests.benchmarks.bare import loop; loop()"


@contextmanager
def running(topic: str, namespace: str) -> Iterator[None]:
    """Run a separate process that reads a topic from its beginning."""
    process = subprocess.Popen([sys.executable, "-c", LOOP, topic, namespace])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def loop() -> None:
    """The loop of that process."""
    topic, namespace = sys.argv[1:3]
    cluster = Cluster()
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=SERVERS,
        group_id=f"bare-{topic}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    for record in consumer:
        number = record.value.decode().partition(":")[2].rstrip("}")
        spec = {
            "workflowTemplateRef": {"name": TEMPLATE},
            "arguments": {"parameters": [{"name": "event", "value": number}]},
        }
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": "bare-"},
            "spec": spec,
        }
        cluster.request("POST", f"{ARGO}/{namespace}/workflows", workflow)
        consumer.commit()
