"""An engine with its thread on a real store, and sources that deliver events to it."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from retrainer.config import models
from retrainer.engine.core.catalog import build_catalog
from retrainer.engine.core.engine import Engine
from retrainer.engine.core.notifications import EventsTaken
from retrainer.sources import registry
from retrainer.store import statements
from retrainer.store.sqlite import SqliteStore
from retrainer.util.clock import SystemClock
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from retrainer.engine.core.notifications import Notification
    from retrainer.sources.base import Source
    from retrainer.store.base import Store


class Listener:
    """Counts events by outcome."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def emitted(self, notification: Notification, now: float) -> None:
        if isinstance(notification, EventsTaken):
            self.outcomes[notification.outcome] += notification.count

    def committed(self, seconds: float, waited: Any, queued: int) -> None:
        pass


class House:
    """``path`` is the SQLite file of the store, unless ``build`` opens another store. `restart` drops the sources."""

    def __init__(self, path: Path, max_queue: int = 1000, build: Callable[[Path], Store] = SqliteStore.open) -> None:
        self.path, self.max_queue, self._build = path, max_queue, build
        self.sources: list[Source] = []
        self.clock = SystemClock()
        self._open()

    def _open(self) -> None:
        self.store = self._build(self.path)
        assert self.store.claim()
        self._listener = Listener()
        self.engine = Engine(self.store, self.clock, self._listener, namespace="ml", max_queue=self.max_queue)
        self.engine.start()

    def load(self, sources: dict[str, dict[str, Any]], rules: Sequence[dict[str, Any]]) -> models.Rules:
        """Load ``sources`` and ``rules`` into the engine; return the parsed models."""
        parsed = models.Rules.model_validate({"version": 1, "sources": sources, "rules": list(rules)})
        configuration: Any = SimpleNamespace(
            rules=parsed.rules,
            sources=parsed.sources,
            calendars={},
            budgets={},
            pools={},
            revision="r",
            rule_revision=lambda _: "r",
        )
        self.engine.switch(build_catalog(configuration, self.store.read(statements.paused_rules)))
        return parsed

    def source(self, name: str, settings: dict[str, Any], rules: Sequence[dict[str, Any]]) -> Source:
        """Load the rules, build the source and start it."""
        config = self.load({name: settings}, rules).sources[name]
        source = registry.build(name, config, self.engine, self.clock, self.path.parent)  # type: ignore[arg-type]
        self.sources.append(source)
        source.start()
        return source

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Block all commits: the engine's thread stays in one transaction until the context exits."""
        over = threading.Event()
        done = self.engine.act(lambda _: over.wait())
        try:
            yield
        finally:
            over.set()
            done.result()

    def stop_sources(self) -> None:
        while self.sources:
            self.sources.pop().stop()

    def restart(self) -> None:
        self.close()
        self._open()

    def close(self) -> None:
        self.stop_sources()
        self.engine.stop()
        self.store.release()
        self.store.close()

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of events by outcome since the engine was started."""
        return dict(self._listener.outcomes)

    def query(self, sql: str) -> list[Any]:
        return self.store.read(lambda conn: [tuple(row) for row in conn.exec_driver_sql(sql)])

    def told(self) -> list[tuple[str, str, str]]:
        """Type, subject and outcome of each event in the ledger, in order."""
        return self.query("SELECT type, subject, outcome FROM events ORDER BY seq")

    def counted(self) -> list[tuple[str, str]]:
        """Rule and subject of each counted input, in order. An input that was counted twice is listed twice."""
        joined = "inputs JOIN states ON states.id = inputs.state JOIN events ON events.seq = inputs.seq"
        return self.query(f"SELECT states.rule, events.subject FROM {joined} ORDER BY inputs.seq, states.rule")

    def errors(self) -> list[str]:
        """The error of each dead letter, in order."""
        return [error for (error,) in self.query("SELECT error FROM dead_letters ORDER BY id")]


def eventually(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    until(condition, what, timeout)
