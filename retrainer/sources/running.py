"""Starts and stops sources as the configuration says. A source that cannot start does not block the others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.sources import registry
from retrainer.util.supervision import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from retrainer.sources.base import Intake, Source
    from retrainer.sources.registry import SourceRequest
    from retrainer.util.clock import Clock

log = structlog.get_logger()


class Unstarted:
    """Placeholder for a source that could not be started. It counts as down, with the reason as its last error."""

    lag = None
    lag_is_shared = False
    poll_errors = 1

    def __init__(self, name: str, why: str) -> None:
        self.name, self.last_error = name, why
        self.halted: Mapping[str, str] = {}

    def start(self) -> None: ...
    def stop(self) -> None: ...


class RunningSources:
    """Only one thread at a time may call it; any thread may read `by_name`."""

    def __init__(self, intake: Intake, clock: Clock, base_folder: Path) -> None:
        self._intake, self._clock, self._base_folder = intake, clock, base_folder
        self._running: dict[str, tuple[SourceRequest, Source]] = {}

    def switch(self, wanted: Mapping[str, SourceRequest]) -> None:
        """Stop sources that are no longer configured, start new ones, and retry those that could not be started."""
        for name, (known, source) in list(self._running.items()):
            if wanted.get(name) != known or isinstance(source, Unstarted):
                self._end(source)
                del self._running[name]
        for name, one in wanted.items():
            if name not in self._running:
                self._running[name] = (one, self._begin(name, one))

    def mend(self) -> None:
        """Retry the sources that could not be started."""
        for name, (one, source) in list(self._running.items()):
            if isinstance(source, Unstarted):
                self._running[name] = (one, self._begin(name, one, known=source.last_error))

    def renew(self, name: str) -> None:
        """Replace a source that hangs. Do nothing if it is not running any more."""
        if name not in self._running:
            return
        one, source = self._running[name]
        self._end(source)  # a hanging thread sees the stop once it continues; what it still offers is a duplicate
        self._running[name] = (one, self._begin(name, one))

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Stop all sources in parallel. Those that have not ended within ``within`` seconds are left behind."""
        threads = [
            threading.Thread(target=self._end, args=(source,), name=f"end-{name}", daemon=True)
            for name, (_, source) in self._running.items()
        ]
        for thread in threads:
            thread.start()
        until = self._clock.monotonic() + within
        for thread in threads:
            thread.join(max(0.0, until - self._clock.monotonic()))

    @property
    def by_name(self) -> dict[str, Source]:
        return {name: source for name, (_, source) in list(self._running.items())}

    def _begin(self, name: str, one: SourceRequest, *, known: str = "") -> Source:
        try:
            source = registry.build(name, one.config, self._intake, self._clock, self._base_folder, sweeps=one.sweeps)
            source.start()
        except Exception as error:  # noqa: BLE001 - each client library has its own errors
            why = f"it cannot be started: {error or type(error).__name__}"
            if why != known:
                log.error("source.not_started", source=name, error=why)  # noqa: TRY400 - the message is for the reader
            return Unstarted(name, why)
        return source

    def _end(self, source: Source) -> None:
        try:
            source.stop()
        except Exception:
            log.exception("source.not_stopped", source=source.name)
