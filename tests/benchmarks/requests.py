"""How many requests of one service account the API server itself has counted.

A FlowSchema of its own sends them all through one of the API server's counters, whatever they are: nothing stands
between the daemon and the server, and the daemon is not asked.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.cluster import Cluster

SCHEMAS = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"


@contextmanager
def counted(cluster: Cluster, namespace: str, account: str = "retrainer") -> Iterator[Callable[[], int]]:
    """Yield what tells how many were made since it was set up: lists, watches and all else count one each."""
    name = f"{namespace}-{account}"
    cluster.request("POST", SCHEMAS, _schema(name, namespace, account))
    try:
        yield lambda: _dispatched(cluster.text("/metrics"), name)
    finally:
        cluster.request("DELETE", f"{SCHEMAS}/{name}")


def _schema(name: str, namespace: str, account: str) -> dict[str, object]:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    who = {"kind": "ServiceAccount", "serviceAccount": {"name": account, "namespace": namespace}}
    rule = {
        "subjects": [who],
        "resourceRules": [everything],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": "workload-low"},  # where service accounts are by default
            "matchingPrecedence": 8000,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [rule],
        },
    }


def _dispatched(metrics: str, schema: str) -> int:
    pattern = rf'^apiserver_flowcontrol_dispatched_requests_total{{flow_schema="{schema}",[^}}]*}} (\S+)$'
    return sum(int(float(count)) for count in re.findall(pattern, metrics, re.MULTILINE))
