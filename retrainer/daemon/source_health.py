"""The state of each source, and whether it has gone silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import structlog

from retrainer.store import queries
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.config.models import Source as SourceConfig
    from retrainer.sources.base import Source
    from retrainer.store.base import Store
    from retrainer.store.queries import Heard
    from retrainer.util.clock import Clock

log = structlog.get_logger()


@runtime_checkable
class Seekable(Protocol):
    """A source with positions that an operator can move."""

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        """Return the topic_id, and the offset that `earliest`, `latest` or an offset means for a partition now.

        Raise LookupError if the partition does not exist, ValueError for an offset that is not in it.
        """


def silent(max_silence: float | None, heard: Heard | None, now: float) -> bool | None:
    """Whether a source received nothing for longer than `max_silence` seconds; None if it has no such limit.

    Counted from the last event; before the first one, from when the source was first configured.
    """
    if max_silence is None:
        return None
    return heard is not None and now - (heard.last_event_at or heard.first_seen_at) > max_silence


def describe(name: str, config: SourceConfig, source: Source | None, heard: Heard | None, now: float) -> dict[str, Any]:
    """Return the state of a source, None as ``source`` if the web server serves it. Times are in epoch seconds."""
    halted = source.halted if source is not None else {}
    return {
        "name": name,
        "type": config.type,
        "up": source is None or source.last_error is None,
        "last_error": SECRETS.mask(source.last_error or "") or None if source is not None else None,
        "poll_errors": source.poll_errors if source is not None else None,
        "lag": source.lag if source is not None else None,
        "halted": [{"partition": part, "reason": SECRETS.mask(halted[part])} for part in sorted(halted)],
        "max_silence": config.max_silence,
        "silent": silent(config.max_silence, heard, now),
        "first_seen_at": heard.first_seen_at if heard is not None else None,
        "last_event_at": heard.last_event_at if heard is not None else None,
    }


class SilenceWatch:
    """Logs once that a source has gone silent, and once that it receives events again."""

    def __init__(self, store: Store, clock: Clock, sources: Callable[[], Mapping[str, SourceConfig]]) -> None:
        self._store, self._clock, self._sources = store, clock, sources
        self._silent: set[str] = set()

    def look(self) -> None:
        expected = {name: s.max_silence for name, s in self._sources().items() if s.max_silence is not None}
        heard = self._store.read(queries.heard) if expected else {}
        now = self._clock.now()
        quiet = {name for name, every in expected.items() if silent(every, heard.get(name), now)}
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
