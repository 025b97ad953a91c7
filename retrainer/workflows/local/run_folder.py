"""A local run's folder: the claim, and the files in which its runner records its state.

===============  ====================================================================================================
workflow.json    the resolved workflow; the folder appears under its final name with this file in it, or not at all
lock             locked by the runner while it lives
started.json     written once, by the one runner that executes; a runner that finds it does not execute
progress         "2/3": completed steps
nodes.json       the nodes of the run with their phases, as far as they have started
stop             Stop or Terminate: the stop request
exit.json        how the run ended; written under the lock, atomically
released         the run is not needed any more; its folder may be removed
tasks/NAME/      log and `/tmp` of a step
===============  ====================================================================================================
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from retrainer.util.regular_files import NotRegularError, TooLargeError, read_regular, sync
from retrainer.workflows.base import Observed
from retrainer.workflows.local.processes import below, kill
from retrainer.workflows.local.removal import remove
from retrainer.workflows.manifest import RUN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENDED = ("Succeeded", "Failed", "Error")
OVERDUE = 60.0
"""Seconds within which a stopped runner must have ended: longer than the grace of its steps and supervisors."""
_JSON_LIMIT = 32 * 1024**2
_WORD_LIMIT = 1024
FOLDER_VARIABLE = "RETRAINER_LOCAL_RUN"
"""Set for every runner and step, to identify processes that outlived their daemon or runner."""


def read(path: Path) -> dict[str, Any] | None:
    """Return one of the JSON files; None if it does not exist. Raise ValueError if it is invalid, or OSError.

    A step can write anything into its run's folder, so the read never blocks and is bounded.
    """
    try:
        value = json.loads(read_regular(path, _JSON_LIMIT))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (NotRegularError, TooLargeError) as error:
        raise ValueError(f"{path.name} {error.strerror}") from error
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} contains no mapping")  # noqa: TRY004 - about a file's content, not an argument
    return cast("dict[str, Any]", value)


def word(path: Path) -> str:
    """Return the content of a one-word file; empty if it does not exist or has other content."""
    try:
        return read_regular(path, _WORD_LIMIT).decode(errors="replace").strip()
    except (FileNotFoundError, NotRegularError, TooLargeError):
        return ""


def write(path: Path, text: str) -> None:
    """Write a file atomically, also across a power failure."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    remove(beside)
    with beside.open("x") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        beside.rename(path)
    except IsADirectoryError:  # created by a step
        remove(path)
        beside.rename(path)
    sync(path.parent)


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the runner's lock. Yield False if another process holds it and `wait` is not set."""
    with _lock_file(folder) as file:
        yield _lock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def alive(folder: Path) -> bool:
    """Return whether a runner holds the lock. Does not prevent a starting runner from taking it."""
    with _lock_file(folder) as file:
        return not _lock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _lock_file(folder: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(folder / "lock", flags, 0o644), "rb", buffering=0)


def _lock(file: BinaryIO, operation: int) -> bool:
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        return False
    return True


def steps(folder: Path) -> list[Path]:
    """Return the folders of the steps that have started, in the order of their last output."""
    found = [log.parent for log in folder.glob("tasks/*/log") if not log.parent.is_symlink()]
    return sorted(found, key=lambda step: (modified(step / "log"), step.name))


def step_names(folder: Path) -> dict[str, str]:
    """Return the names of the nodes by the names of their folders, as far as they are known."""
    try:
        nodes = (read(folder / "nodes.json") or {}).get("nodes")
    except (OSError, ValueError):
        return {}
    known = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return {str(node.get("folder")): str(node.get("name")) for node in known}


def modified(path: Path) -> float:
    """Return the modification time in seconds since the epoch; infinity if the file is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf


def observe(folder: Path, now: float) -> Observed | None:
    """Return the state of the run; None if there is none. If its runner died without a result, record an Error.

    Raise ValueError if workflow.json is not in its original form, or OSError.
    """
    workflow = read(folder / "workflow.json")
    if workflow is None:
        return None
    end, started = _marks(folder)
    if not end and started and not alive(folder):
        _settle(folder, started, now)
        end, _ = _marks(folder)
    return Observed(
        namespace=workflow["namespace"],
        name=workflow["name"],
        uid=workflow["uid"],
        run=workflow["annotations"].get(RUN_ANNOTATION, ""),
        phase=end.get("phase", "Running" if started else "Pending"),
        message=end.get("message", ""),
        started_at=started.get("at"),
        finished_at=end.get("finishedAt"),
        progress=word(folder / "progress"),
        outputs=end.get("outputs", {}),
        resources=end.get("resourcesDuration", {}),
        stopped=end.get("stopped", False),
    )


def _marks(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how it ended and how it was started; each empty if that has not happened."""
    try:
        started = read(folder / "started.json") or {}
        end = read(folder / "exit.json") or {}
    except ValueError as error:
        # Only a live runner writes it again.
        return ({} if alive(folder) else _spoilt(folder, str(error))), {}
    if end and (why := _misfit(end)):
        return ({} if alive(folder) else _spoilt(folder, f"exit.json {why}")), started
    return end, started if started.keys() >= {"pid", "at"} else {}


def _spoilt(folder: Path, why: str) -> dict[str, Any]:
    return {"phase": "Error", "message": f"its result is unknown: {why}", "finishedAt": folder.stat().st_mtime}


def _misfit(end: Mapping[str, Any]) -> str:
    """Return what is invalid in an exit.json; empty if nothing is."""
    if end.get("phase") not in ENDED or not isinstance(end.get("message", ""), str):
        return "names no phase"
    if not isinstance(end.get("finishedAt", 0.0), int | float):
        return "has no time"
    texts, numbers = end.get("outputs", {}), end.get("resourcesDuration", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        return "has outputs that are not texts"
    if not isinstance(numbers, dict) or not all(isinstance(number, int | float) for number in numbers.values()):
        return "has resources that are not numbers"
    return ""


def finish(folder: Path, end: Mapping[str, Any]) -> None:
    """Write the outcome. The caller must hold the lock."""
    write(folder / "exit.json", json.dumps(end))


def finish_unstarted(folder: Path, end: Mapping[str, Any]) -> None:
    """Write the outcome of a run that no runner has started. Do nothing if one has."""
    with locked(folder, wait=False) as is_locked:
        if is_locked and not (folder / "started.json").exists() and not (folder / "exit.json").exists():
            finish(folder, end)


def put_down(folder: Path, now: float) -> None:
    """Kill an overdue runner with all its processes: a step has stopped it (SIGSTOP), or it hangs."""
    with suppress(OSError):
        if now - (folder / "stop").lstat().st_mtime > OVERDUE and alive(folder):
            _kill_leftovers(folder)


def _settle(folder: Path, started: Mapping[str, Any], now: float) -> None:
    with locked(folder, wait=False) as is_locked:
        if not is_locked or (folder / "exit.json").exists():
            return
        left = len(_kill_leftovers(folder))
        message = f"the runner (process {started['pid']}) died before it recorded the result of the run"
        if left:
            message += f"; {left} of its processes were killed"
        end = {"phase": "Error", "message": message, "finishedAt": now}
        if strategy := word(folder / "stop"):
            end |= {"phase": "Failed", "stopped": True, "message": f"Stopped with strategy '{strategy}'; {message}"}
        finish(folder, end)


def _kill_leftovers(folder: Path) -> set[int]:
    """Kill the remaining processes of the run (if /proc exists). Return them."""
    mark = f"{FOLDER_VARIABLE}={folder}".encode()
    killed: set[int] = set()
    while found := _marked(mark) - killed:
        kill(found)
        killed |= found
    return killed


def _marked(mark: bytes) -> set[int]:
    """Return the processes with the mark in their environment, and their descendants, which may have removed it."""
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.add(int(process.name))
    return found.union(*(below(process) for process in found))
