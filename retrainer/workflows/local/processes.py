"""Processes below this one: which there are, and how all of them are ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 10.0
"""Seconds after which processes that SIGKILL does not end (another user's, or stuck in the kernel) are given up."""
PAUSE = 0.005


def below(root: int, spare: frozenset[int] = frozenset()) -> set[int]:
    """Find all processes that descend from `root`, where there is /proc, but for zombies.

    ``spare``: children of `root` that are left out with all that is below them. What is found is below another child,
    or was: a process whose parent ended while we looked may be missing, and is never taken for somebody else's.
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
    """Return the children of each process, and which processes are zombies."""
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
    """Kill all processes below this one, but for those in `spare` and what is below them; return what is left.

    It waits for no child: how a child ended is told to who started it. Complete if this process adopts orphans: what
    a process started after we looked is found the next time.
    """
    until = time.monotonic() + PATIENCE
    while _has_children() and (left := below(os.getpid(), spare)):
        for process in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() >= until:
            return below(os.getpid(), spare)
        time.sleep(PAUSE)
    return set()


def _has_children() -> bool:
    # Nothing can be below a process that adopts orphans and has no child; all of /proc need not be read for that.
    if sys.platform == "darwin":
        return True  # and it has no such call
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
