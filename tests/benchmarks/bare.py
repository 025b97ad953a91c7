"""The least that can be done: consume a record, create its Workflow, commit. It decides nothing and stores nothing.

What is measured of it beside the daemon, on the same servers in the same minutes, says how much of a latency is theirs.
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
    """A process of its own that reads a topic from its beginning."""
    process = subprocess.Popen([sys.executable, "-c", LOOP, topic, namespace])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def loop() -> None:
    """In that process."""
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
