"""Finds and ends the descendants of this process."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 10.0
"""Seconds after which processes that survive SIGKILL (another user's, or stuck in the kernel) are abandoned."""
PAUSE = 0.005


def below(root: int, spare: frozenset[int] = frozenset()) -> set[int]:
    """Return all descendants of `root` except zombies; empty without /proc.

    ``spare``: children of `root` that are excluded with their descendants. Each result is or was below another child. A
    process whose parent ended during the scan may be missing, but is never attributed to another child.
    """
    children, dead = _processes()
    found: set[int] = set()
    ahead = [child for child in children.get(root, ()) if child not in spare]
    while ahead:
        process = ahead.pop()
        if process not in found:
            found.add(process)
            ahead += children.get(process, ())
    return found - dead


def _processes() -> tuple[dict[int, list[int]], set[int]]:
    """Return the children of each process, and the zombies."""
    children: dict[int, list[int]] = {}
    dead: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            children.setdefault(int(parent), []).append(int(folder.name))
            if state in (b"Z", b"X"):
                dead.add(int(folder.name))
    return children, dead


def end_all(spare: frozenset[int] = frozenset()) -> set[int]:
    """Kill all descendants of this process except `spare` and what is below them. Return the survivors.

    Children are not waited for: their exit status is left to the code that started them. The result is complete if this
    process adopts orphans: a process started during a scan is found by the next one.
    """
    until = time.monotonic() + PATIENCE
    while _has_children() and (left := below(os.getpid(), spare)):
        kill(left)
        if time.monotonic() >= until:
            return below(os.getpid(), spare)
        time.sleep(PAUSE)
    return set()


def kill(processes: Iterable[int]) -> None:
    """Send SIGKILL to processes, as far as they exist and may be killed."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def _has_children() -> bool:
    # A process that adopts orphans and has no child has no descendants; this avoids reading all of /proc.
    if sys.platform == "darwin":
        return True  # macOS has no such call
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
