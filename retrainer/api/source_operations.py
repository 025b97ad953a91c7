"""The state of sources, and what an operator does with them: reset a partition, read a source again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from retrainer.config.models import S3Source
from retrainer.engine.intake import partitions
from retrainer.sources.base import ReplayScope
from retrainer.sources.replay import NOT_AGAIN, Replays, Rereadable, moment_of
from retrainer.store import queries
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.counts import many
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.config.models import Source as SourceConfig
    from retrainer.engine.commands.long_commands import Act
    from retrainer.engine.core.engine import Engine
    from retrainer.sources.base import Source
    from retrainer.store.queries import Heard


@runtime_checkable
class Seekable(Protocol):
    """A source with positions that an operator can move."""

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        """Return the topic_id, and the offset that `earliest`, `latest` or an offset means for a partition now.

        Raise LookupError if the partition does not exist, ValueError for an offset that is not in it.
        """


class SourceOperations:
    """An unknown source raises LookupError; what cannot be done with it, or not now, raises ValueError.

    ``running`` returns the objects of all configured sources, None for those that the web server serves.
    """

    def __init__(
        self,
        engine: Engine,
        replays: Replays,
        configured: Callable[[], Mapping[str, SourceConfig]],
        running: Callable[[], Mapping[str, Source | None]],
    ) -> None:
        self._engine, self._replays = engine, replays
        self._configured, self._running = configured, running

    def summaries(self) -> list[dict[str, Any]]:
        """Return a line per source, by name."""
        heard, now = self._engine.store.read(queries.heard), self._engine.clock.now()
        running, configured = self._running(), self._configured()
        return [
            describe(name, configured[name], running.get(name), heard.get(name), now) for name in sorted(configured)
        ]

    def detail(self, name: str) -> dict[str, Any]:
        """Return the line of one source, its positions and its configuration."""
        config = self._config(name)
        (line,) = [line for line in self.summaries() if line["name"] == name]
        positions = self._engine.store.read(lambda conn: queries.positions(conn, name))
        try:
            replay = self._replays.progress(name)
        except LookupError:
            replay = None
        return {
            **line,
            **self._possible(name),
            "replay": replay,
            "positions": positions,
            "configuration": config.model_dump(mode="json", exclude_defaults=True),
        }

    def _possible(self, name: str) -> dict[str, Any]:
        """Return whether positions can be reset, and why a source cannot be read again, empty if it can."""
        config, source = self._config(name), self._running().get(name)
        why = "" if isinstance(source, Rereadable) else NOT_AGAIN.get(config.type, "it does not keep its events")
        if not why and isinstance(config, S3Source) and not config.buckets:
            why = "it has no buckets to list: add them under `buckets`"
        return {"resettable": isinstance(source, Seekable), "not_replayable": why}

    def plan_reset(self, name: str, partition: str, to: str | int) -> dict[str, Any]:
        """Return where `earliest`, `latest` or an offset is, and what a reset of the partition to it would skip."""
        config, source = self._config(name), self._running().get(name)
        if not isinstance(source, Seekable):
            raise ValueError(f"source {name} is a {config.type}: it has no positions that could be reset")  # noqa: TRY004
        try:
            topic_id, following = source.resolve(partition, to)
        except (LookupError, ValueError):
            raise
        except Exception as error:  # each client library has its own errors
            raise ValueError(f"source {name} cannot be queried now: {error}") from error
        stored = self._engine.store.read(lambda conn: queries.positions(conn, name))
        known = next((position for position in stored if position["partition"] == partition), None)
        if known is None:
            raise LookupError(f"source {name} has no partition {partition}")
        place = {"source": name, "partition": partition, "next": following, "topic_id": topic_id}
        return {**place, "before": known["next"], **_distance(known, topic_id, following)}

    def reset(self, name: str, partition: str, to: str | int, act: Act) -> dict[str, Any]:
        """Continue a partition from `earliest`, `latest` or an offset. ``act`` runs the command."""
        plan = self.plan_reset(name, partition, to)
        act(lambda tx: partitions.reset(tx.conn, name, partition, plan["topic_id"], plan["next"]))
        return plan

    def replay(self, name: str, since: str, until: str | None, rules: list[str], *, dry_run: bool) -> dict[str, Any]:
        """Start to read a source again for rules (all of its rules if none is named). Return the progress.

        Times are RFC 3339 or durations before now; ``until`` defaults to now.
        """
        config, source = self._config(name), self._running().get(name)
        if not isinstance(source, Rereadable):
            why = NOT_AGAIN.get(config.type, "it does not keep its events")
            raise ValueError(f"source {name} is a {config.type} and cannot be read again: {why}")  # noqa: TRY004
        if isinstance(config, S3Source) and not config.buckets:
            raise ValueError(f"source {name} has no buckets to list: add them under `buckets`")
        now = self._engine.clock.now()
        begin, end = moment_of(since, now), moment_of(until, now) if until is not None else now
        if begin >= end:
            raise ValueError(f"the range from {rfc3339(begin)} to {rfc3339(end)} is empty: give an earlier `from`")
        return self._replays.start(name, source, ReplayScope(self._rules_of(name, rules), dry_run), begin, end)

    def replay_progress(self, name: str) -> dict[str, Any]:
        """Return the progress of the last replay of a source."""
        self._config(name)
        return self._replays.progress(name)

    def cancel_replay(self, name: str) -> dict[str, Any]:
        """Request the end of a source's replay. What was stored stays."""
        self._config(name)
        return self._replays.cancel(name)

    def _config(self, name: str) -> SourceConfig:
        try:
            return self._configured()[name]
        except KeyError:
            raise LookupError(f"there is no source {name!r}") from None

    def _rules_of(self, source: str, wanted: list[str]) -> frozenset[str]:
        """Return rules with a data trigger on a source: the named ones, or all. Raise ValueError."""
        compiled = self._engine.catalog.rules
        listen = {name for name, rule in compiled.items() if any(d.source == source for d in rule.data.values())}
        for name in wanted:
            if name not in compiled:
                raise ValueError(f"there is no rule {name!r}")
            if name not in listen:
                raise ValueError(f"rule {name} has no data trigger on source {source}")
        if not listen:
            raise ValueError(f"no rule has a data trigger on source {source}")
        return frozenset(wanted or listen)


def _distance(known: Mapping[str, Any], topic_id: str, following: int) -> dict[str, Any]:
    """Return how many records a reset skips and reads again, None where this is not known, and a sentence."""
    before = known["next"]
    place = f"continues at {following} instead of {before}"
    if known["topic_id"] not in ("", topic_id):
        why = f"{place}, which was in a topic that was deleted: it is not known what is skipped"
        return {"skipped": None, "read_again": None, "detail": why}
    skipped, again = max(following - before, 0), max(before - following, 0)
    if skipped:
        why = f"{place}: up to {many(skipped, 'record')} are skipped"
    elif again:
        why = f"{place}: up to {many(again, 'record')} are read again, and count again"
    else:
        why = f"continues at {following}, as without a reset"
    return {"skipped": skipped, "read_again": again, "detail": why}


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
        "silent": queries.silent(config.max_silence, heard, now),
        "first_seen_at": heard.first_seen_at if heard is not None else None,
        "last_event_at": heard.last_event_at if heard is not None else None,
    }
