"""The hardware and software of a measurement."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.cluster import Cluster

LIBRARIES = (
    "common-expression-language",
    "kafka-python",
    "kubernetes",
    "orjson",
    "pydantic",
    "sqlalchemy",
    "starlette",
    "uvicorn",
)


def machine() -> dict[str, Any]:
    cpus = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "cpu": cpus[0] if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "memory_mib": int(memory[1]) // 1024 if memory else None,
        "kernel": platform.release(),
    }


def versions(cluster: Cluster | None) -> dict[str, Any]:
    installed = {name: found for name in LIBRARIES if (found := _version(name))}
    known = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "libraries": installed}
    return known | (cluster.versions() if cluster else {})


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""
