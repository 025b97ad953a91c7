"""The footprint of a deployment: image size, start time, memory, and idle requests to the API server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.benchmarks.cluster import ARGO, Namespace
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.installed import RESTRICTED, RULES, Pair, build, release, resident, restart, running
from tests.benchmarks.replicas import postgres_server
from tests.benchmarks.requests import counted
from tests.benchmarks.sender import Sender
from tests.cluster.test_chart_sources import NODE

if TYPE_CHECKING:
    from tests.benchmarks.cluster import Cluster
    from tests.cluster.release import Release

INSTALLS = 3
IDLE = 60.0
MINUTES = 5
"""Long enough to include every periodic request: Workflows are listed again once in that time."""
SETTLES = 10.0
"""Seconds until the API server applies a new FlowSchema."""
WORKFLOWS = 10_000
NOBODY = "nobody"
"""An instance id of no controller: the controller's work on ten thousand Workflows is not part of the measurement."""
PATIENCE = 600.0
INSTALLED = (
    "The image of this repository (Debian's Python) is on the node; the chart is installed by Helm in a namespace "
    f'that enforces Pod Security "restricted", on SQLite in a folder of the pod, with {RULES} rules; Workflows and '
    "ConfigMaps of teams are followed in that namespace. "
)
IMAGE = "Bytes of all files in all layers, built by deploy/image/build with BASE=debian, from Debian's packages."
INSTALL = f"From the start of `helm install --wait` until it returns; it looks every two seconds. Median of {INSTALLS}."
REST = f"VmRSS of the process in the pod {IDLE:g} s after it was ready, when nothing had happened."
KNOWN = (
    f"{WORKFLOWS:,} webhook events, each of which starts a run whose Workflow stays: it has an instance id that no "
    f"controller answers to. VmRSS once the API server has all of them, {IDLE:g} s later, and {IDLE:g} s after a "
    "restart of the container, which lists them all: the largest. The pod asks for a whole CPU."
)
ASKED = (
    f"Requests of the chart's service account in {MINUTES} minutes without events, lists and watches among them, as "
    "counted by the API server for a FlowSchema of its own."
)
TWO = " Two replicas on a PostgreSQL 15, both together."


def weight(cluster: Cluster) -> list[Figure]:
    return [_image(), *at_rest(cluster), known(cluster)]


def _image() -> Figure:
    packed, unpacked = build()
    return Figure("image_size", unpacked, "MB", IMAGE, 200, detail={"packed_mb": packed})


def at_rest(cluster: Cluster) -> list[Figure]:
    with Namespace(cluster, **RESTRICTED) as namespace:
        one, took = release(namespace), []
        for _ in range(INSTALLS - 1):
            with running(one) as seconds:
                took.append(seconds)
        with running(one) as seconds:
            took.append(seconds)
            idle, asked, of_two = _watch(cluster, one)
    each = [round(seconds, 1) for seconds in took]
    return [
        Figure("install_to_ready", percentile(each, 0.5), "s", INSTALLED + INSTALL, detail={"each_s": each}),
        Figure("memory_at_rest", idle, "MB", INSTALLED + REST, 150),
        Figure("api_requests_per_minute_at_rest", asked, "1/min", INSTALLED + ASKED),
        Figure("api_requests_per_minute_at_rest_2_replicas", of_two, "1/min", INSTALLED + ASKED + TWO),
    ]


def _watch(cluster: Cluster, one: Release) -> tuple[float, float, float]:
    """MB when idle, requests a minute, and the requests a minute of two replicas."""
    with Namespace(cluster, **RESTRICTED) as namespace, postgres_server(NODE) as server:
        two = release(namespace, Pair, server, server.database())
        with running(two):
            time.sleep(IDLE)
            idle = resident(one)
            with counted(cluster, one.namespace) as ours, counted(cluster, two.namespace) as both:
                time.sleep(SETTLES)
                before = ours(), both()
                time.sleep(60 * MINUTES)
                asked = ours() - before[0], both() - before[1]
    return idle, asked[0] / MINUTES, asked[1] / MINUTES


def known(cluster: Cluster) -> Figure:
    with Namespace(cluster, **RESTRICTED) as namespace:
        one = release(namespace)
        one.values |= {"argoInstanceId": NOBODY, "resources": {"requests": {"cpu": "1", "memory": "256Mi"}}}
        with running(one):
            found = _many(cluster, one)
    return Figure("memory_10000_workflows", max(found.values()), "MB", INSTALLED + KNOWN, 150, detail=found)


def _many(cluster: Cluster, one: Release) -> dict[str, Any]:
    """MB when all Workflows exist, some time later, and after a restart."""
    Sender(8080, host=one.pod["status"]["podIP"]).all_at_once(range(WORKFLOWS))
    _await_all(cluster, f"{ARGO}/{one.namespace}/workflows?limit=1")
    submitted = resident(one)
    time.sleep(IDLE)
    later = resident(one)
    restart(one)
    time.sleep(IDLE)
    return {"submitted_mb": submitted, "later_mb": later, "restarted_mb": resident(one)}


def _await_all(cluster: Cluster, path: str) -> None:
    end = time.monotonic() + PATIENCE
    while (there := _count(cluster.request("GET", path))) < WORKFLOWS:
        if time.monotonic() > end:
            raise RuntimeError(f"{there:,} of {WORKFLOWS:,} Workflows after {PATIENCE:g} s")
        time.sleep(1)


def _count(page: dict[str, Any]) -> int:
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))
