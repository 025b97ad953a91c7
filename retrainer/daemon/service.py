"""The service behind the API: reads from the store, and acts through the engine."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from retrainer.config.models import S3Source
from retrainer.daemon import audit
from retrainer.daemon.replay import NOT_AGAIN, Rereadable, moment_of
from retrainer.daemon.source_health import Seekable, describe
from retrainer.engine.commands import feedback, operator_commands
from retrainer.engine.intake.matching import author_of
from retrainer.engine.runs.waits import waits_for
from retrainer.engine.schedules import backfills
from retrainer.event import Event, split_attributes
from retrainer.rules.trigger_answers import would_match
from retrainer.store import queries, run_statements
from retrainer.store.rows import run_to_row
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from retrainer.api.service import RuleQuery
    from retrainer.config.load import Configuration
    from retrainer.config.models import Source as SourceConfig
    from retrainer.config.settings import Settings
    from retrainer.daemon.app import App
    from retrainer.daemon.dependencies import Wait
    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.schedules.backfills import BackfillOrder
    from retrainer.sources.webhook import Webhooks
    from retrainer.store.queries import Page
    from retrainer.store.search import EventQuery

T = TypeVar("T")
AGES = 100
"""Imported ages per transaction."""
PATIENCE = 20.0
"""Seconds that a request waits for the engine's commit."""


class AppService:
    """Implements `retrainer.api.service.Service`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.settings: Settings = app.settings

    def read(self, fn: Callable[[Connection], T]) -> T:
        return self._app.store.read(fn)

    def leader(self) -> str:
        return "" if self._app.lead.held else self._app.store.leader()

    def configuration(self) -> Configuration:
        return self._app.loaded.configuration

    def _act(self, run: Callable[[Transaction], T]) -> T:
        return self._app.engine.act(run).result(PATIENCE)

    # -- rules -----------------------------------------------------------------------------------------------------

    def rules(self, query: RuleQuery) -> Page:
        return self._app.rule_lines.page(query)

    def rule(self, name: str) -> dict[str, Any]:
        line = self._app.rule_lines.one(name)
        rule = self._app.engine.catalog.rules[name].rule
        return {**line, "configuration": rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)}

    def explain(self, rule: str, key: str, event: dict[str, Any] | None, at: float | None = None) -> dict[str, Any]:
        """Raise KeyError if the rule does not exist, ValueError for an unreadable event."""
        compiled = self._app.engine.catalog.rules[rule]
        if at is not None and at < self._app.clock.now() and event is None:
            return self.read(lambda conn: audit.explain(conn, rule, key, at))
        told = self.read(lambda conn: self._app.rule_lines.explain(conn, compiled, key, at))
        if event is not None:
            one = _event(event, self._app.clock.now())
            told["event"] = would_match(compiled, one, self.read(lambda conn: author_of(conn, one)))
        return told

    def waits_for(self, run_id: str) -> dict[str, Any] | None:
        def look(conn: Connection) -> dict[str, Any] | None:
            run = run_statements.run(conn, run_id)
            return waits_for(conn, self._app.engine.catalog, run, self._app.clock.now()) if run is not None else None

        return self.read(look)

    def trigger(
        self, rule: str, key: str, parameters: dict[str, str], *, by: str, dry_run: bool, idempotency_key: str | None
    ) -> dict[str, Any]:
        if not dry_run:
            return self._act(lambda tx: operator_commands.trigger(tx, rule, key, parameters, idempotency_key, by))
        run = self._act(lambda tx: operator_commands.preview(tx, rule, key, parameters))
        return {"decision": "fire", "reason": "manual", "run": None, "manifest": self._app.manifest_of(run)}

    def withdraw_triggers(self, rule: str, key: str) -> dict[str, Any]:
        return self._withdraw(rule, key, manual=True)

    def backfill(self, order: BackfillOrder, *, dry_run: bool, idempotency_key: str | None) -> dict[str, Any]:
        if dry_run:
            return self._act(lambda tx: backfills.preview(tx, order))
        return self._act(lambda tx: backfills.ask(tx, order, idempotency_key))

    def backfill_progress(self, rule: str, key: str, request: str | None) -> dict[str, Any]:
        return self.read(lambda conn: backfills.progress(conn, rule, key, request))

    def withdraw_backfills(self, rule: str, key: str) -> dict[str, Any]:
        return self._withdraw(rule, key)

    def _withdraw(self, rule: str, key: str, *, manual: bool = False) -> dict[str, Any]:
        """Withdraw in as many transactions as it takes. After a crash the same request continues with the rest."""
        dropped = cancelled = 0
        while True:
            told = self._act(lambda tx: backfills.withdraw(tx, rule, key, manual=manual))
            dropped, cancelled = dropped + told["dropped"], cancelled + told["cancelled"]
            if not told.pop("left"):
                return {**told, "dropped": dropped, "cancelled": cancelled}

    def pause(self, rule: str, note: str) -> None:
        self._act(lambda tx: operator_commands.pause(tx, rule, note))

    def resume(self, rule: str) -> None:
        self._act(lambda tx: operator_commands.resume(tx, rule))

    # -- runs, dead letters ----------------------------------------------------------------------------------------

    def cancel(self, run: str, strategy: Literal["Stop", "Terminate"]) -> dict[str, Any]:
        self._act(lambda tx: operator_commands.cancel(tx, run, strategy))
        return self._run(run)

    def retry(self, run: str) -> dict[str, Any]:
        return self._run(self._act(lambda tx: operator_commands.retry(tx, run)))

    def _run(self, run_id: str) -> dict[str, Any]:
        run = self.read(lambda conn: run_statements.run(conn, run_id))
        return run_to_row(run) if run is not None else {"id": run_id}

    def judge(self, run: str, *, promoted: bool) -> None:
        self._act(lambda tx: feedback.judge(tx, run, promoted=promoted))

    def import_ages(self, ages: list[dict[str, Any]]) -> dict[str, Any]:
        """Import in several transactions, because each age is a state to write. Return all rejected lines."""
        imported, failed = 0, []
        for at in range(0, len(ages), AGES):
            told = self._act(partial(feedback.import_ages, ages=ages[at : at + AGES]))
            imported += told["imported"]
            failed += [{**one, "line": one["line"] + at} for one in told["failed"]]
        return {"imported": imported, "failed": failed}

    def replay_dead_letters(self, ids: list[int]) -> dict[str, Any]:
        """Replay in as many transactions as it takes. A replayed one is no dead letter any more, also after a crash."""
        replayed, left = 0, ids
        failed: list[dict[str, Any]] = []
        while left:
            told = self._act(partial(operator_commands.replay_dead_letters, ids=left))
            replayed, failed, left = replayed + told["replayed"], failed + told["failed"], told["left"]
        return {"replayed": replayed, "failed": failed}

    def discard_dead_letters(self, ids: list[int]) -> int:
        return self._act(lambda tx: operator_commands.discard_dead_letters(tx, ids))

    def find_events(self, wanted: EventQuery) -> Page:
        """Return events with that number, id, object or subject, each with its effects and near misses in rules."""
        return audit.find(self.read, self._app.engine.catalog.rules.values(), wanted)

    # -- sources ---------------------------------------------------------------------------------------------------

    def sources(self) -> list[dict[str, Any]]:
        heard = self.read(queries.heard)
        now = self._app.clock.now()
        running = self._app.sources()
        configured = self.configuration().sources
        return [
            describe(name, configured[name], running.get(name), heard.get(name), now) for name in sorted(configured)
        ]

    def source(self, name: str) -> dict[str, Any]:
        config = self._source(name)
        (line,) = [line for line in self.sources() if line["name"] == name]
        positions = self.read(lambda conn: queries.positions(conn, name))
        return {**line, "positions": positions, "configuration": config.model_dump(mode="json", exclude_defaults=True)}

    def _source(self, name: str) -> SourceConfig:
        try:
            return self.configuration().sources[name]
        except KeyError:
            raise LookupError(f"there is no source {name!r}") from None

    def reset_source(self, name: str, part: str, to: str | int) -> dict[str, Any]:
        config = self._source(name)
        source = self._app.sources().get(name)
        if not isinstance(source, Seekable):
            raise ValueError(f"source {name} is a {config.type}: it has no positions that could be reset")  # noqa: TRY004
        try:
            topic_id, following = source.resolve(part, to)
        except (LookupError, ValueError):
            raise
        except Exception as error:  # each client library has its own errors
            raise ValueError(f"source {name} cannot be queried now: {error}") from error
        self._app.engine.reset_part(name, part, topic_id, following)
        return {"source": name, "partition": part, "next": following, "topic_id": topic_id}

    def replay(self, name: str, since: str, until: str | None, rules: list[str], *, dry_run: bool) -> dict[str, Any]:
        config = self._source(name)
        source = self._app.sources().get(name)
        if not isinstance(source, Rereadable):
            why = NOT_AGAIN.get(config.type, "it does not keep its events")
            raise ValueError(f"source {name} is a {config.type} and cannot be read again: {why}")  # noqa: TRY004
        if isinstance(config, S3Source) and not config.buckets:
            raise ValueError(f"source {name} has no buckets to list: add them under `buckets`")
        now = self._app.clock.now()
        begin, end = moment_of(since, now), moment_of(until, now) if until is not None else now
        if begin >= end:
            raise ValueError(f"the range from {rfc3339(begin)} to {rfc3339(end)} is empty: give an earlier `from`")
        chosen = self._listeners(name, rules)
        return self._app.replays.start(name, source, chosen, begin, end, dry=dry_run)

    def _listeners(self, source: str, wanted: list[str]) -> frozenset[str]:
        """Return rules with a data trigger on a source: the named ones, or all. Raise ValueError."""
        compiled = self._app.engine.catalog.rules
        listen = {name for name, rule in compiled.items() if any(d.source == source for d in rule.data.values())}
        for name in wanted:
            if name not in compiled:
                raise ValueError(f"there is no rule {name!r}")
            if name not in listen:
                raise ValueError(f"rule {name} has no data trigger on source {source}")
        if not listen:
            raise ValueError(f"no rule has a data trigger on source {source}")
        return frozenset(wanted or listen)

    def replay_progress(self, name: str) -> dict[str, Any]:
        self._source(name)
        return self._app.replays.progress(name)

    def cancel_replay(self, name: str) -> dict[str, Any]:
        self._source(name)
        return self._app.replays.cancel(name)

    # -- the daemon itself -----------------------------------------------------------------------------------------

    def reload(self) -> dict[str, Any]:
        before = self._app.loaded.configuration.revision
        loaded = self._app.look_again()
        revision = loaded.configuration.revision
        return {
            "revision": revision,
            "changed": revision != before,
            "problems": [SECRETS.mask(str(p)) for p in loaded.problems],
            "dropped": [asdict(dropped) for dropped in self._app.dropped],
        }

    def ready(self) -> list[str]:
        return self._app.readiness.reasons()

    def waiting(self) -> list[Wait]:
        return self._app.dependencies.look()

    def health(self) -> list[str]:
        return list(filter(None, [self._app.supervisor.stuck(self._app.engine.thread), self._app.engine.failing]))

    def metrics(self) -> bytes:
        return self._app.metrics.exposition()

    def refused(self, door: str, status: int) -> None:
        self._app.metrics.process.refused(door, status)

    def webhooks(self) -> Webhooks:
        return self._app.webhooks


def _event(raw: dict[str, Any], now: float) -> Event:
    data = raw.get("data", raw)
    if not isinstance(data, dict):
        raise ValueError("the `data` of an event must be a JSON object")  # noqa: TRY004
    shown = raw.get("attributes")
    attributes, record = split_attributes(shown if isinstance(shown, dict) else {})
    texts = {name: str(raw.get(name, "")) for name in ("source", "id", "type", "subject")}
    return Event(**texts, time=now, data=data, attributes=attributes, record=record)
