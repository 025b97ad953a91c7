"""A local run's folder: the claim, the marks its runner leaves in it, and what can be told from them.

===============  ====================================================================================================
workflow.json    the resolved workflow; the folder appears under its final name with this file in it, or not at all
lock             locked by the runner for as long as it lives
started.json     written once, by the one runner that executes; whoever finds it there never executes
progress         "2/3": steps that are done
stop             Stop or Terminate: what was asked of the runner
exit.json        how it ended; written under the lock, at once whole
released         nobody needs it any more; it may be pruned
tasks/NAME/      log and `/tmp` of a step
===============  ====================================================================================================
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from retrainer.util.regular_files import NotRegularError, TooLargeError, read_regular
from retrainer.workflows.base import Observed
from retrainer.workflows.local.processes import below
from retrainer.workflows.local.removal import remove
from retrainer.workflows.manifest import RUN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENDED = ("Succeeded", "Failed", "Error")
OVERDUE = 60.0
"""Seconds after which a runner has ended that was told to, longer than it gives its steps and their supervisors."""
_JSON_LIMIT = 32 * 1024**2
_WORD_LIMIT = 1024
FOLDER_VARIABLE = "RETRAINER_LOCAL_RUN"
"""Set for every runner and step, so that those that outlived their daemon or runner can be told from others."""


def read(path: Path) -> dict[str, Any] | None:
    """Read one of the JSON files; None if it is not there. Raise ValueError if it cannot be one, or OSError.

    A step has its run's folder before it, and may put there what it likes: nothing here waits for it, or reads it all.
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
        raise ValueError(f"{path.name} holds no mapping")  # noqa: TRY004 - what a file holds, no argument
    return cast("dict[str, Any]", value)


def word(path: Path) -> str:
    """Read one of the one-word files; empty if it is not there, or holds something else."""
    try:
        return read_regular(path, _WORD_LIMIT).decode(errors="replace").strip()
    except (FileNotFoundError, NotRegularError, TooLargeError):
        return ""


def write(path: Path, text: str) -> None:
    """Write a file so that a reader, or a restart after a power cut, finds all of it or nothing."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    remove(beside)
    with beside.open("x") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        beside.rename(path)
    except IsADirectoryError:  # a step made it
        remove(path)
        beside.rename(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the runner's lock; gives False if another process holds it and `wait` is not set."""
    with _lock_file(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def alive(folder: Path) -> bool:
    """Tell whether a runner holds the lock. Never keeps a runner that is about to start from getting it."""
    with _lock_file(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _lock_file(folder: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(folder / "lock", flags, 0o644), "rb", buffering=0)


def observe(folder: Path, now: float) -> Observed | None:
    """Say how the run stands; None if there is none. A runner that died without a word is settled as Error here.

    Raise ValueError if its workflow.json is not what was written there, or OSError.
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
    """Return how it ended and how it was started; empty where that is not so (yet)."""
    try:
        started = read(folder / "started.json") or {}
        end = read(folder / "exit.json") or {}
    except ValueError as error:
        # A live runner writes it anew; nobody else ever will.
        return ({} if alive(folder) else _spoilt(folder, str(error))), {}
    if end and (why := _misfit(end)):
        return ({} if alive(folder) else _spoilt(folder, f"exit.json {why}")), started
    return end, started if started.keys() >= {"pid", "at"} else {}


def _spoilt(folder: Path, why: str) -> dict[str, Any]:
    return {"phase": "Error", "message": f"nobody knows how it ended: {why}", "finishedAt": folder.stat().st_mtime}


def _misfit(end: Mapping[str, Any]) -> str:
    """Say what of an exit.json cannot be so; empty if it is one."""
    if end.get("phase") not in ENDED or not isinstance(end.get("message", ""), str):
        return "names no phase"
    if not isinstance(end.get("finishedAt", 0.0), int | float):
        return "has no time"
    texts, numbers = end.get("outputs", {}), end.get("resourcesDuration", {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        return "has outputs that are no texts"
    if not isinstance(numbers, dict) or not all(isinstance(number, int | float) for number in numbers.values()):
        return "has resources that are no numbers"
    return ""


def finish(folder: Path, end: Mapping[str, Any]) -> None:
    """Write the outcome. Only whoever holds the lock may."""
    write(folder / "exit.json", json.dumps(end))


def finish_unstarted(folder: Path, end: Mapping[str, Any]) -> None:
    """Write the outcome of a run that no runner has begun; does nothing if one has."""
    with locked(folder, wait=False) as mine:
        if mine and not (folder / "started.json").exists() and not (folder / "exit.json").exists():
            finish(folder, end)


def put_down(folder: Path, now: float) -> None:
    """Kill a runner that was told to end long ago, with all it runs: a step has stopped it (SIGSTOP), or it hangs."""
    with suppress(OSError):
        if now - (folder / "stop").lstat().st_mtime > OVERDUE and alive(folder):
            _kill_leftovers(folder)


def _settle(folder: Path, started: Mapping[str, Any], now: float) -> None:
    with locked(folder, wait=False) as mine:
        if not mine or (folder / "exit.json").exists():
            return
        left = len(_kill_leftovers(folder))
        message = f"the runner (process {started['pid']}) died before it could say how the run ended"
        if left:
            message += f"; {left} of its processes were killed"
        end = {"phase": "Error", "message": message, "finishedAt": now}
        if strategy := word(folder / "stop"):
            end |= {"phase": "Failed", "stopped": True, "message": f"Stopped with strategy '{strategy}'; {message}"}
        finish(folder, end)


def _kill_leftovers(folder: Path) -> set[int]:
    """Kill the run's processes that are left (where /proc tells them); return which there were."""
    mark = f"{FOLDER_VARIABLE}={folder}".encode()
    killed: set[int] = set()
    while found := _marked(mark) - killed:
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        killed |= found
    return killed


def _marked(mark: bytes) -> set[int]:
    """Find those that have the mark in their environment, and what is below them, which may have taken it off."""
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.add(int(process.name))
    return found.union(*(below(process) for process in found))
