"""The number of requests of one service account, as counted by the API server.

A separate FlowSchema sends all of them through one counter of the API server. So there is no proxy between daemon
and server, and the daemon's own metrics are not used.
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
    """Yield a function that returns the number of requests since the start. A list or a watch counts as one."""
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
            "priorityLevelConfiguration": {"name": "workload-low"},  # the default of service accounts
            "matchingPrecedence": 8000,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [rule],
        },
    }


def _dispatched(metrics: str, schema: str) -> int:
    pattern = rf'^apiserver_flowcontrol_dispatched_requests_total{{flow_schema="{schema}",[^}}]*}} (\S+)$'
    return sum(int(float(count)) for count in re.findall(pattern, metrics, re.MULTILINE))
