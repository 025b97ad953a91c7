"""The daemon process: settings, signals and shutdown."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from retrainer.api.app import check_bind
from retrainer.config.errors import ConfigErrors
from retrainer.config.load import load_settings
from retrainer.daemon.app import build
from retrainer.daemon.leadership import give_up
from retrainer.store.base import StoreError
from retrainer.telemetry import logs
from retrainer.util import gc_tuning, supervision
from retrainer.util.supervisor import TICK

if TYPE_CHECKING:
    from retrainer.daemon.lifecycle import Daemon

log = structlog.get_logger()
STOP_WITHIN = 25.0
"""Seconds that stopping may take. Kubernetes kills the process after 30."""


def main(settings_path: str, log_level: str | None = None) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP reloads. Return the exit code. ``log_level`` replaces the configured one."""
    gc_tuning.bounded_heaps()
    gc_tuning.take_turns()
    logs.configure(log_level or "info", json=None)
    stop = threading.Event()
    try:
        settings = load_settings(settings_path)
        formats = {"auto": None, "json": True, "text": False}
        logs.configure(log_level or settings.log.level, formats[settings.log.format])
        check_bind(settings)
        daemon = build(settings, Path(settings_path).resolve().parent)
    except (StoreError, ConfigErrors, ValueError) as error:
        log.error("daemon.cannot_start", error=str(error))  # noqa: TRY400 - a traceback does not help the user
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    supervision.arm()
    hangup = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: hangup.set())
    try:
        daemon.start()
    except OSError as error:
        log.error("daemon.cannot_start", error=str(error))  # noqa: TRY400 - a traceback does not help the user
        daemon.stop()
        return 1
    except StoreError as error:
        give_up(str(error))
    while not stop.wait(TICK / 2):
        supervise(daemon)
        if hangup.is_set():
            hangup.clear()
            daemon.hangup()
    stop_in_time(daemon)
    return 0


def supervise(daemon: Daemon) -> None:
    """Check the threads. An error here must not end the main thread."""
    try:
        daemon.supervisor.look(daemon.clock.monotonic())
    except Exception:
        log.exception("supervisor.failed")


def stop_in_time(daemon: Daemon) -> None:
    """Stop. If a thread prevents that, exit the process. Acknowledged input is stored in either case."""
    seconds = STOP_WITHIN * supervision.PATIENCE
    late = threading.Timer(seconds, lambda: supervision.end_process(daemon.supervisor.late(seconds)))
    late.daemon = True
    late.start()
    left = daemon.stop()
    late.cancel()
    if hung := [thread for thread in left if thread.hangs]:
        threads = ", ".join(f"{thread.name} at {thread.at}" for thread in hung)
        supervision.end_process(f"stopped, but these threads did not end in time: {threads}")
    supervision.disarm()
    if left:  # these threads wait for servers, and a normal exit would wait for their thread pools
        supervision.leave()
