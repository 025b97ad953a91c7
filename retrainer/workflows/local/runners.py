"""Starts runners as processes that outlive this one."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.workflows.local import run_folder
from retrainer.workflows.local.isolation import environment_of_runner
from retrainer.workflows.local.log import last_words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from retrainer.util.clock import Clock

log = structlog.get_logger()

AT_ONCE = max(2, 2 * (os.cpu_count() or 1))
"""Runners of one daemon that work at once; further runs stay Pending."""
_ATTEMPTS = 3


class Runners:
    """Runners started by this process. Starting a second one for a run is harmless: it does not get to execute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._children: dict[int, Path] = {}
        self._attempts: dict[Path, int] = {}

    def start(self, folders: Iterable[Path]) -> None:
        """Start a runner for each folder while there are slots. Raise OSError if processes cannot be started."""
        with self._lock:
            self._reap()
            for folder in folders:
                if len(self._children) >= AT_ONCE:
                    return
                if folder not in self._children.values():
                    self._start(folder)

    def _start(self, folder: Path) -> None:
        attempts = self._attempts.get(folder, 0)
        if attempts >= _ATTEMPTS:
            message = f"its runner could not be started: {last_words(folder / 'runner.log') or 'no output'}"
            end = {"phase": "Error", "message": message, "finishedAt": self._clock.now()}
            run_folder.finish_unstarted(folder, end)
            return
        pid = _spawn(folder)
        self._children[pid] = folder
        self._attempts[folder] = attempts + 1
        log.debug("local.runner_started", folder=str(folder), pid=pid)

    def _reap(self) -> None:
        for pid, folder in list(self._children.items()):
            try:
                ended = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                ended = True
            if ended:
                del self._children[pid]
                if (folder / "started.json").exists():
                    del self._attempts[folder]


def _spawn(folder: Path) -> int:
    # Not subprocess.Popen: its objects must be waited for, and runners are not.
    log_file = (os.POSIX_SPAWN_OPEN, 1, folder / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "retrainer.workflows.local.runner", str(folder)],
        {**environment_of_runner(), run_folder.FOLDER_VARIABLE: str(folder)},
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), log_file, (os.POSIX_SPAWN_DUP2, 1, 2)],
    )
