"""What a support bundle contains: each part by itself, as JSON or text that is not redacted yet."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from retrainer.config import yaml
from retrainer.config.files import find, read_text
from retrainer.config.load_settings import settings_file
from retrainer.config.tree import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrainer.cli.client import ApiClient
    from retrainer.config.settings import Settings

_NEWEST = 200
"""Maximum number of rules, decisions, dead letters and runs."""
_FIELDS: Final = {
    "rules": ("name", "mode", "paused", "keys", "decision", "reason", "until", "next_fire"),
    "decisions": ("id", "rule", "trigger", "decision", "reason", "until", "run", "first_at", "last_at", "count"),
    "dead-letters": ("id", "at", "source", "reason", "rule", "size"),
    "runs": ("id", "rule", "trigger", "reason", "phase", "workflow", "created_at", "started_at", "ended_at"),
}
"""The fields that are taken. Keys, messages and errors may quote payloads, and are left out."""
_PROBES: Final = ("readyz", "healthz")


class MissingPart(Exception):
    """The part cannot be had; the message says why."""


class Part(NamedTuple):
    """One file of the bundle. ``make`` returns a value of JSON, or text. It raises MissingPart, or any other error."""

    file: str
    contains: str
    make: Callable[[], Any]


def of_machine() -> Iterator[Part]:
    """Yield the parts about the program and its machine."""
    yield Part("version.json", "version of retrainer, Python and the libraries", _versions)
    yield Part("platform.json", "system, processors, memory and limits", _platform)


def of_files(place: str, settings: Settings | None) -> Iterator[Part]:
    """Yield the parts that are read from the settings file and what it names."""
    yield Part(
        "settings.json",
        f"{place}; all values as they are written there",
        lambda: _configuration(str(settings_file(place))),
    )
    if settings is None:
        return
    found = find(settings.rules)
    for number, file in enumerate(found.files):
        name = re.sub(r"[^\w.-]", "_", Path(file).stem)
        yield Part(f"rules/{number:03d}-{name}.json", Path(file).name, lambda file=file: _configuration(file))  # type: ignore[misc]
    yield Part("store.json", "size of the store, and free space", lambda: _store(settings))


def of_daemon(client: Callable[[], ApiClient]) -> Iterator[Part]:
    """Yield the parts that the daemon answers. ``client`` raises a ClickException if there can be no connection."""
    for probe in _PROBES:
        yield Part(f"{probe}.json", f"/{probe}", lambda probe=probe: _answer(client(), f"/{probe}"))  # type: ignore[misc]
    for name in ("status", "threads", "sources"):
        yield Part(f"{name}.json", f"/api/v1/{name}", lambda name=name: _answer(client(), f"/api/v1/{name}"))  # type: ignore[misc]
    for name in _FIELDS:
        contains = f"up to {_NEWEST} of /api/v1/{name}, newest first, without payloads, keys and messages"
        yield Part(f"{name}.json", contains, lambda name=name: _listed(client(), name))  # type: ignore[misc]
    yield Part("metrics.txt", "/metrics", lambda: _read(client(), "/metrics").text)


def _read(client: ApiClient, where: str) -> Any:
    answer = client.fetch(where)
    if not answer.is_success and where.strip("/") not in _PROBES:  # these answer 503 with their reasons
        raise MissingPart(f"the daemon answers {answer.status_code}")
    return answer


def _answer(client: ApiClient, where: str) -> Any:
    try:
        return _read(client, where).json()
    except ValueError:
        raise MissingPart("the answer is not JSON: is this a retrainer API?") from None


def _listed(client: ApiClient, name: str) -> Any:
    answer = _answer(client, f"/api/v1/{name}?limit={_NEWEST}")
    return [{field: item.get(field) for field in _FIELDS[name]} for item in answer["items"]]


def _configuration(file: str) -> Any:
    """Return a file of the configuration as values: comments, which may contain anything, are left out."""
    text = read_text(file)
    if not isinstance(text, str):
        raise MissingPart(text.message)
    root, problems = yaml.read(text, Path(file).name)
    if root is None:
        raise MissingPart(problems[0].message if problems else "it is empty")
    return plain(root)


def _store(settings: Settings) -> Any:
    if settings.store.url is not None:
        raise MissingPart("the store is PostgreSQL: its size is in metrics.txt")
    path = Path(settings.store.path)
    sizes = {side: _size(Path(f"{path}{side}")) for side in ("", "-wal", "-shm")}
    return {"bytes": {f"{path.name}{side}": size for side, size in sizes.items()}, "free": _free(path.parent)}


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _free(folder: Path) -> int | None:
    return shutil.disk_usage(folder).free if folder.is_dir() else None


def _versions() -> Any:
    requires = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in metadata.requires("retrainer") or ()]
    return {
        "retrainer": metadata.version("retrainer"),
        "python": sys.version,
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: _version(name) for name in sorted(requires)},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _platform() -> Any:
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _limit("/proc/meminfo").splitlines()[:3],
        "limits": {name: _limit(f"/sys/fs/cgroup/{name}") for name in ("memory.max", "cpu.max", "pids.max")},
        "in_kubernetes": "KUBERNETES_SERVICE_HOST" in os.environ,
    }


def _limit(file: str) -> str:
    """Return the content of a file of the kernel; empty if it does not exist."""
    try:
        return Path(file).read_text().strip()
    except OSError:
        return ""
