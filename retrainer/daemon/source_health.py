"""Reports sources that have gone silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from retrainer.store import queries
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.config.models import Source as SourceConfig
    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

log = structlog.get_logger()


class SilenceWatch:
    """Logs once that a source has gone silent, and once that it receives events again."""

    def __init__(self, store: Store, clock: Clock, sources: Callable[[], Mapping[str, SourceConfig]]) -> None:
        self._store, self._clock, self._sources = store, clock, sources
        self._silent: set[str] = set()

    def look(self) -> None:
        expected = {name: s.max_silence for name, s in self._sources().items() if s.max_silence is not None}
        heard = self._store.read(queries.heard) if expected else {}
        now = self._clock.now()
        quiet = {name for name, every in expected.items() if queries.silent(every, heard.get(name), now)}
        for name in sorted(quiet - self._silent):
            last = heard[name].last_event_at
            log.error(
                "source.silent",
                source=name,
                max_silence=expected[name],
                last_event_at=rfc3339(last) if last is not None else "never",
            )
        for name in sorted((self._silent - quiet) & expected.keys()):
            log.warning("source.speaks_again", source=name)
        self._silent = quiet
