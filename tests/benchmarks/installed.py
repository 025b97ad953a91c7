"""The daemon as platform teams install it: this repository's image, installed by the chart, in a restricted pod."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tests.benchmarks.daemon import SOURCES, firing_rule
from tests.cluster.conftest import SCRIPT, kubectl, until
from tests.cluster.release import Release
from tests.cluster.replicas import Replicas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.cluster import Namespace

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/retrainer:bench"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
RULES = 10


class Pair(Replicas):
    """Two replicas on one PostgreSQL, without a topic."""

    def install(self) -> None:
        Release.install(self)


def build() -> tuple[int, int]:
    """Build the image, load it on the node, and return its size in MB, packed and unpacked. Also build Helm."""
    subprocess.run([ROOT / "deploy/helm/check", "tools"], check=True)
    with tempfile.TemporaryDirectory() as out:
        given = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "BASE": "debian", "IMAGE": IMAGE, "OUT": out}
        told = subprocess.run([ROOT / "deploy/image/build"], env=given, check=True, stdout=subprocess.PIPE, text=True)
        subprocess.run([SCRIPT, "load", f"{out}/retrainer-image.tar"], check=True, stdout=subprocess.DEVNULL)
    (sizes,) = re.findall(r"(\d+) MB packed, (\d+) MB unpacked", told.stdout)
    return int(sizes[0]), int(sizes[1])


def release(namespace: Namespace, made: type[Release] = Release, *more: Any) -> Release:
    """A release that is not installed yet: one rule that each event fires, and nine that fire once a year."""
    found = made(namespace.name, *more)
    repository, _, tag = IMAGE.rpartition(":")
    found.values |= {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "watchedNamespaces": {namespace.name: {"rules": True}},
        "rules": {"all": _rules()},
        # Do not wait for the Workflows: they are deleted with the namespace.
        "uninstall": {"releaseFinalizers": False},
    }
    return found


def _rules() -> str:
    yearly = [
        {
            "name": f"yearly-{number}",
            "triggers": {"yearly": {"schedule": {"cron": f"{number} 3 1 1 *", "timezone": "Europe/Vienna"}}},
            "submit": {"workflow_template": "waits"},
        }
        for number in range(1, RULES)
    ]
    document = {"version": 1, "sources": SOURCES, "rules": [firing_rule(), *yearly]}
    return orjson.dumps(document).decode()  # JSON is YAML


@contextmanager
def running(one: Release) -> Iterator[float]:
    """Install it, yield the seconds that this took, and uninstall it."""
    began = time.monotonic()
    one.install()
    try:
        yield time.monotonic() - began
    finally:
        one.uninstall()


def resident(one: Release) -> float:
    """Resident memory of the daemon in its pod, in MB."""
    status = _inside(one, "cat", "/proc/1/status")
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(kib * 1024 / 1e6, 1)


def restart(one: Release) -> None:
    """End the daemon; return once the node has restarted it on the same store."""
    before = _state(one)["restartCount"]
    _inside(one, "sh", "-c", "kill 1")
    until(lambda: _state(one)["restartCount"] > before and _state(one)["ready"], 120)


def _state(one: Release) -> dict[str, Any]:
    found: dict[str, Any] = one.pod["status"]["containerStatuses"][0]
    return found


def _inside(one: Release, *command: str) -> str:
    return kubectl("-n", one.namespace, "exec", "deployment/retrainer", "--", *command)
