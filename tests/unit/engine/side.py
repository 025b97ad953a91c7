"""A bench that gets the same inputs as others, with its state in a form that can be compared."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import structlog.testing
from ulid import ULID

from retrainer.engine.core.catalog import build_catalog
from retrainer.rules.state import decode, encode
from retrainer.store import run_statements, statements
from retrainer.store import tables as t
from retrainer.store.base import StoreLostError
from tests.houses.engine import DrivenEngine
from tests.unit.engine.switchboard import forget_what_is_remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection

    from retrainer.runs.run import Run
    from retrainer.store.base import Store
    from tests.houses.engine import SteppedEngine

MOST_TURNS = 120
"""Maximum number of transactions for one input."""
_NUMBERED = {"dead_letters": "id", "inbox": "id"}
"""Columns numbered by the store, which may differ."""
_COMPARED = [name for name in t.metadata.tables if name not in ("leader", "readers", "config_files")]
"""Tables without those that only a shared store uses."""
_IDS = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_WAITING = ("PENDING", "SUBMITTING")


class WrongError(AssertionError):
    """The product violated a guarantee. Never an expected error of a request."""


def check(holds: bool, what: object) -> None:
    if not holds:
        raise WrongError(what)


class Side(DrivenEngine):
    """``called`` is entered for each transaction, except while loading rules. Ids of runs and requests are counted."""

    def __init__(
        self,
        name: str,
        path: Path,
        now: float,
        build: Callable[[Path], Store],
        configuration: Any,
        called: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self.name, self.turns, self.ids = name, 0, 0
        self.said: list[Any] = []
        """The log lines."""
        self.cluster: dict[str, Run] = {}
        """The run of each Workflow, by Workflow name."""
        self.emitted: set[str] = set()
        """Ids of the runs that were reported as submitted."""
        self._called, self._loading = called, False
        self._looked: dict[str, list[dict[str, Any]]] = {}
        super().__init__(path, [], now, room=100, build=build, loaded=configuration)

    def next_id(self, now: float) -> ULID:
        self.ids += 1
        return ULID(int(now * 1000).to_bytes(6, "big") + self.ids.to_bytes(10, "big"))

    def boot(self) -> None:
        self._loading = True
        forget_what_is_remembered()
        super().boot()
        self._loading = False

    def load(self, configuration: Any) -> Exception | None:
        """Load rules; return the exception if they are rejected."""
        forget_what_is_remembered()
        catalog = build_catalog(configuration, self.store.read(statements.paused_rules))
        try:
            self.engine.switch(catalog)
        except Exception as error:  # noqa: BLE001 - for any exception the previous rules stay
            return error
        self.configuration = configuration
        return None

    def dispatch(self) -> None:
        """Another daemon becomes leader while this one continues. A store without sharing is closed first."""
        if not self.store.shared:
            self.restart()
            return
        before, store = self.engine, self.store
        self.boot()
        with structlog.testing.capture_logs():
            lost = _turn_of(before)
        check(isinstance(lost, StoreLostError), lost)
        store.close()

    def step(self) -> None:
        self.turns += 1
        self._looked = {}
        forget_what_is_remembered(rules=False)
        check(self.turns <= MOST_TURNS, "it goes on and on")
        with structlog.testing.capture_logs() as said, self._called("" if self._loading else self.name), _ids_of(self):
            try:
                super().step()
            finally:
                self.said += said

    def shared(self) -> AbstractContextManager[Connection]:
        """A connection for operations that do not need the leader."""
        self._looked = {}
        return self.store.share()

    def settle(self) -> None:
        """Run all transactions that are due."""
        while (wake := self.engine.next_wake) is not None and wake <= self.clock.time:
            self.step()

    # -- what can be seen ------------------------------------------------------------------------------------------

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The committed rows of a table, ordered by primary key."""
        if not self._looked:
            self._looked = self.store.read(lambda conn: {name: list(_rows(conn, name)) for name in _COMPARED})
        return self._looked[table]

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """All rows that must be equal on another store after the same inputs."""
        return {name: [_plain(row, _NUMBERED.get(name, "")) for row in self.rows(name)] for name in _COMPARED}

    def seen_of(self, rules: Collection[str]) -> dict[str, list[Any]]:
        """Runs, decisions, slots, windows and dead letters of some rules. Runs and events are identified by content."""
        ids = {row["seq"]: f"{row['source']}/{row['id']}" for row in self.rows("events")}
        fed = self._fed(ids)
        states = {row["id"]: decode(row["state"]) for row in self.rows("states")}
        where = {(row["rule"], row["key"]): row["id"] for row in self.rows("states")}
        emitted: dict[str, list[Any]] = {"runs": [], "decisions": [], "slots": [], "states": [], "letters": []}
        for row in self._of(rules, "runs"):
            feeding = fed.get(where.get((row["rule"], row["key"]), 0), {})
            emitted["runs"].append(_run_seen(row, feeding))
        for row in sorted(self._of(rules, "decisions"), key=lambda row: (row["rule"], row["key"], row["id"])):
            columns = ("rule", "key", "decision", "reason", "detail", "count", "run")
            emitted["decisions"].append([row[name] for name in columns])
        for row in self._of(rules, "slots"):
            emitted["slots"].append({name: value for name, value in row.items() if name != "seq"})
        for row in sorted(self._of(rules, "states"), key=lambda row: (row["rule"], row["key"])):
            emitted["states"].append(_state_seen(row, states[row["id"]], fed.get(row["id"], {})))
        for row in self.rows("dead_letters"):
            if row["rule"] in rules or not row["rule"]:
                emitted["letters"].append([row["source"], row["event"], row["reason"], row["rule"]])
        named: dict[str, str] = {}
        text = _IDS.sub(
            lambda m: named.setdefault(m[0], f"id-{len(named)}"), orjson.dumps(emitted, default=str).decode()
        )
        seen: dict[str, list[Any]] = orjson.loads(text)
        return seen

    def _of(self, rules: Collection[str], table: str) -> list[dict[str, Any]]:
        return [row for row in self.rows(table) if row["rule"] in rules]

    def _fed(self, ids: dict[int, str]) -> dict[int, dict[int, str]]:
        fed: dict[int, dict[int, str]] = {}
        for row in self.rows("inputs"):
            fed.setdefault(row["state"], {})[row["seq"]] = ids.get(row["seq"], "pruned")
        return fed

    def names_of_runs(self) -> list[tuple[str, str, int]]:
        """Rule, key and index among the runs of these: the same run has the same name on each side."""
        seen: Counter[tuple[str, str]] = Counter()
        names = []
        for row in self.rows("runs"):
            names.append((row["rule"], row["key"], seen[row["rule"], row["key"]]))
            seen[row["rule"], row["key"]] += 1
        return names

    def number_of(self, run: Run) -> int:
        ids = [row["id"] for row in self.rows("runs") if (row["rule"], row["key"]) == (run.rule, run.key)]
        return ids.index(run.id)

    def named_cluster(self) -> list[tuple[str, str, int]]:
        """The runs that have a Workflow."""
        return [(run.rule, run.key, self.number_of(run)) for run in self.cluster.values()]

    def run_named(self, name: tuple[str, str, int]) -> Run | None:
        """The n-th run of a (rule, key)."""
        rule, key, number = name
        runs = [row["id"] for row in self.rows("runs") if (row["rule"], row["key"]) == (rule, key)]
        if number >= len(runs):
            return None
        return self.store.read(lambda conn: run_statements.run(conn, runs[number]))


def _rows(conn: Connection, table: str) -> Iterator[dict[str, Any]]:
    order = ", ".join(f'"{column.name}"' for column in t.metadata.tables[table].primary_key.columns)
    found = conn.exec_driver_sql(f"SELECT * FROM {table} ORDER BY {order}")
    names = list(found.keys())
    return (dict(zip(names, row, strict=True)) for row in found)


@contextmanager
def _ids_of(side: Side) -> Iterator[None]:
    drawn = ULID.__dict__["from_timestamp"]
    ULID.from_timestamp = side.next_id  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ULID.from_timestamp = drawn  # type: ignore[method-assign]


def _turn_of(engine: SteppedEngine) -> BaseException | None:
    """The exception of a turn of an engine that is no longer the leader."""
    engine.step = engine.commit
    return engine.act(lambda _: None).exception()


def _plain(row: dict[str, Any], without: str) -> dict[str, Any]:
    return {name: _same(value) for name, value in row.items() if name != without}


def _same(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    return value.replace("\0", "\u2400").replace("\\u0000", "\u2400") if isinstance(value, str) else value


def _run_seen(row: dict[str, Any], feeding: dict[int, str]) -> list[Any]:
    columns = (
        "id",
        "rule",
        "key",
        "trigger",
        "reason",
        "created_at",
        "attempt",
        "retry_of",
        "scheduled_at",
        "parameters",
    )
    phase = "waiting" if row["phase"] in _WAITING else row["phase"]
    seen = [*(row[name] for name in columns), phase, row["ended_at"], row["cause"], row["outputs"]]
    return [*seen, _window_seen(orjson.loads(row["window"]), feeding)]


def _window_seen(window: dict[str, Any], feeding: dict[int, str]) -> list[Any]:
    within = [feeding[seq] for lo, hi in window.get("ranges", ()) for seq in sorted(feeding) if lo <= seq <= hi]
    return [window.get("events", 0), window.get("bytes", 0), window.get("rows", 0), within]


def _state_seen(row: dict[str, Any], state: Any, feeding: dict[int, str]) -> list[Any]:
    emitted = orjson.loads(encode(state))
    for name in ("taken_hi",):
        emitted.pop(name, None)
    pending = _window_seen(emitted.pop("window", {}), feeding)
    windows = {name: _window_seen(window, feeding) for name, window in emitted.pop("windows", {}).items()}
    return [row["rule"], row["key"], row["wake_at"], emitted, pending, windows]
