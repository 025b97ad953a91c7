"""The guarantees for sources with positions, in any sequence of claims, redeliveries, crashes, distinct values, keys
that appear and are removed, dead letters and replays.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from retrainer.config.settings import Store
from retrainer.engine.commands import operator_commands
from retrainer.engine.retention.prune import Pruner
from retrainer.event import Event, Poison
from retrainer.rules.state import decode
from retrainer.sources.base import Batch, OffsetRange, PositionLost, ReplayScope
from retrainer.store.sqlite import SqliteStore
from tests.houses.engine import Crash, DrivenEngine
from tests.unit.engine.kit import START, SUBMIT, observed

if TYPE_CHECKING:
    from retrainer.sources.base import Claimed

MAX_KEYS = 2
WORDS = {"matched", "filtered", "duplicate", "dead_lettered", "ignored"}


def on_topic(at_least: int, **more: Any) -> dict[str, Any]:
    batch = {"at_least": {"events": at_least}, **more.pop("batch", {})}
    return {"d": {"data": {"source": "topic", "batch": batch, **more}}}


RULES: list[dict[str, Any]] = [
    {
        "name": "things",
        "triggers": on_topic(2, distinct_by="event.data.thing", batch={"max_wait": "2h"}),
        "submit": {**SUBMIT, "retry": {"limit": 1, "backoff": {"duration": "5m"}}},
    },
    {
        "name": "keyed",
        "triggers": on_topic(2),
        "for_each": {"by": {"d": "event.data.who"}, "max_keys": MAX_KEYS, "forget_after": "2h"},
        "limits": {"overlap": "allow_all"},
        "submit": SUBMIT,
    },
    {"name": "picky", "triggers": on_topic(3, where="event.data.size > 10"), "submit": SUBMIT},
]
NAMES = [one["name"] for one in RULES]
PARTS = ("t/0", "t/1")
FIRST_OUTCOMES = "SELECT outcome FROM events WHERE seq IN (SELECT min(seq) FROM events GROUP BY id)"
crashes = st.sampled_from(["", "", "", "", "before", "after"])
owners = st.sampled_from(["first", "second"])
phases = st.sampled_from(["Succeeded", "Failed", "Failed"])
parts = st.sampled_from(PARTS)
contents = st.fixed_dictionaries(
    {"thing": st.sampled_from("abc"), "who": st.sampled_from("xyz")}, optional={"size": st.integers(0, 40)}
)
records = st.lists(st.one_of(contents, contents, contents, contents, st.none()), min_size=1, max_size=4)


class Stream(RuleBasedStateMachine):
    """`log` has the records of each partition; `held` the epoch and position of each owner's last claim."""

    build: Any = staticmethod(SqliteStore.open)

    @initialize(said=st.tuples(records, records))
    def begin(self, said: tuple[Any, Any]) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.bench = DrivenEngine(self.folder / "store.db", RULES, START, build=self.build)
        self.log: dict[str, list[Event | Poison]] = {part: [] for part in PARTS}
        self.held: dict[tuple[str, str], tuple[int, int]] = {}
        self.highest = dict.fromkeys(PARTS, 0)
        self.emitted: Counter[str] = Counter()
        self.lost_answers = False
        self.dropped: set[tuple[str, str]] = set()
        for part, first in zip(PARTS, said, strict=True):
            self.flow("first", part, first, zombie=False, crash="")

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.store.close()
            shutil.rmtree(self.folder)

    def survive(self, crash: str, do: Any) -> Any:
        self.bench.crash_at = crash
        try:
            return do()
        except Crash:
            self.lost_answers = True
            self.bench.restart()
            return None
        finally:
            self.bench.crash_at = ""

    # -- the source ------------------------------------------------------------------------------------------------

    def produce(self, part: str, said: list[dict[str, Any] | None]) -> None:
        topic, _, partition = part.partition("/")
        for data in said:
            offset = len(self.log[part])
            identity = f"{part}/{offset}"
            place = {"topic": topic, "partition": int(partition), "offset": offset, "key": None}
            self.log[part].append(
                Event("topic", identity, "record", START + offset, data, record=place)
                if data is not None
                else Poison("topic", identity, b"{", "cut short")
            )

    @rule(owner=owners, part=parts, crash=crashes)
    def claim(self, owner: str, part: str, crash: str) -> None:
        """A rebalance assigns the partition to this owner. The other owner may not know it yet."""
        claimed: Claimed | None = self.survive(crash, lambda: self.bench.engine.claim("topic", part, "id", 0))
        if claimed is not None:
            assert claimed.next is not None
            self.held[owner, part] = (claimed.epoch, claimed.next)

    @rule(owner=owners, part=parts, said=records, zombie=st.booleans(), crash=crashes)
    def flow(self, owner: str, part: str, said: list[dict[str, Any] | None], zombie: bool, crash: str) -> None:
        """Records arrive, and an owner reads. A former owner may read in the same transaction."""
        self.produce(part, said)
        if (owner, part) not in self.held:
            self.claim(owner, part, "")
        others = [reader for reader in sorted(self.held) if zombie and reader != (owner, part)]
        self.read([*others, (owner, part)], crash)

    def read(self, readers: list[tuple[str, str]], crash: str) -> None:
        """A reader that is no longer the owner loses its batch."""
        batches = [self.batch(reader) for reader in readers]
        futures = self.survive(crash, lambda: self.bench.offer_all(batches))
        for reader, batch, future in zip(readers, batches, futures or (), strict=False):
            if isinstance(future.exception(), PositionLost):
                del self.held[reader]
                continue
            outcomes = future.result().outcomes
            assert len(outcomes) == len(batch.items)
            assert set(outcomes) <= WORDS - {"duplicate"}
            self.emitted.update(outcomes)
            assert batch.offsets is not None
            self.held[reader] = (self.held[reader][0], batch.offsets.next)

    def batch(self, reader: tuple[str, str]) -> Batch:
        epoch, begin = self.held[reader]
        items = self.log[reader[1]][begin : begin + 4]
        return Batch("topic", items, 0.0, offsets=OffsetRange(reader[1], epoch, begin, begin + len(items)))

    @rule(part=parts, names=st.sets(st.sampled_from(NAMES), min_size=1), dry=st.booleans(), crash=crashes)
    def read_again(self, part: str, names: set[str], dry: bool, crash: str) -> None:
        batch = Batch("topic", self.log[part][-9:], replay_scope=ReplayScope(frozenset(names), dry))
        self.survive(crash, lambda: self.bench.offer_all([batch]))

    @rule(discard=st.booleans(), crash=crashes)
    def settle_letters(self, discard: bool, crash: str) -> None:
        """Replay all dead letters, or discard the oldest one."""
        letters = self.bench.query("SELECT id, event, rule FROM dead_letters ORDER BY id")
        if not discard:
            ids = [row[0] for row in letters]
            self.survive(crash, lambda: self.bench.act(lambda tx: operator_commands.replay_dead_letters(tx, ids)))
            return
        for number, event, name in letters[:1]:
            self.dropped.add((event, name))
            self.survive(
                crash, lambda n=number: self.bench.act(lambda tx: operator_commands.discard_dead_letters(tx, [n]))
            )

    # -- time, and runs --------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 300, 3600, 8000]), tidy=st.booleans(), crash=crashes)
    def pass_time(self, seconds: int, tidy: bool, crash: str) -> None:
        self.survive("", lambda: self.bench.tick(seconds))
        if tidy:
            pruner = Pruner(Store(), lambda: 0.0)
            self.survive(crash, lambda: self.bench.act(lambda tx: pruner.prune(tx, 0)))

    @rule(phases=st.lists(phases, min_size=1, max_size=3), lost=st.booleans(), crash=crashes)
    def finish(self, phases: list[str], lost: bool, crash: str) -> None:
        """Submit admitted runs (an answer may be lost), and report the end of the oldest active ones twice."""
        claimed = self.bench.gateway.claim(3, 30)
        for run in claimed[lost:]:
            self.bench.gateway.submitted(run.id, f"uid-{run.id}")
        seen = [observed(run, phase) for run, phase in zip(self.bench.gateway.live(), phases, strict=False)] * 2
        self.survive(crash, lambda: self.bench.gateway.observed(seen))

    @rule()
    def restart(self) -> None:
        self.bench.restart()

    # -- invariants ------------------------------------------------------------------------------------------------

    @invariant()
    def positions_never_move_backwards_and_stand_where_the_records_are(self) -> None:
        if not hasattr(self, "bench"):
            return
        ids = {row[0] for row in self.bench.query("SELECT id FROM events")}
        letters = {row[0] for row in self.bench.query("SELECT event FROM dead_letters")}
        letters |= {event for event, _ in self.dropped}
        for part, following in self.bench.engine.parts("topic").items():
            assert following >= self.highest[part]
            self.highest[part] = following
            for offset, item in enumerate(self.log[part]):
                known = item.id in (ids if isinstance(item, Event) else letters)
                assert known == (offset < following), (part, offset)

    @invariant()
    def each_event_counts_once_for_each_rule_or_is_a_dead_letter_of_it(self) -> None:
        if not hasattr(self, "bench"):
            return
        counted: Counter[tuple[str, str]] = Counter()
        for identity, rules in self.bench.query("SELECT id, rules FROM events"):
            counted.update((identity, name) for name, _ in json.loads(rules))
        assert [where for where, times in counted.items() if times > 1] == []
        letters = {(row[0], row[1]) for row in self.bench.query("SELECT event, rule FROM dead_letters")} | self.dropped
        stored = {row[0] for row in self.bench.query("SELECT DISTINCT id FROM events")}
        for item in (item for log in self.log.values() for item in log if item.id in stored):
            wanting = {"things", "keyed", *(("picky",) if item.data.get("size", 11) > 10 else ())}
            for name in NAMES:
                settled = (item.id, name) in counted or (item.id, name) in letters
                assert settled == (name in wanting), (item.id, name)

    @invariant()
    def the_sum_of_outcomes_holds(self) -> None:
        if not hasattr(self, "bench") or self.lost_answers:
            return
        stored = Counter(row[0] for row in self.bench.query(FIRST_OUTCOMES))
        stored["dead_lettered"] += sum(isinstance(i, Poison) for p in PARTS for i in self.log[p][: self.highest[p]])
        assert stored == self.emitted
        assert sum(self.emitted.values()) == sum(self.highest.values())

    @invariant()
    def data_is_pending_or_in_a_live_run_or_spent_by_one_that_succeeded(self) -> None:
        if not hasattr(self, "bench"):
            return
        for state_id, name, key, text in self.bench.query("SELECT id, rule, key, state FROM states"):
            state = decode(text)
            seqs = [row[0] for row in self.bench.query(f"SELECT seq FROM inputs WHERE state = {state_id}")]
            taken = self.taken(name, key, state.seen_at)
            everywhere = [*state.window.ranges, *(r for window in taken for r in window.get("ranges", ()))]
            times = Counter(seq for seq in seqs for lo, hi in everywhere if lo <= seq <= hi)
            assert all(n == 1 for n in times.values()), (name, key)
            if name == "things":
                self.newest_of_each_thing_is_somewhere(seqs, times)
            else:
                assert sorted(times) == sorted(seqs), (name, key)
                assert len(seqs) == state.window.events + sum(window.get("events", 0) for window in taken)

    def taken(self, name: str, key: str, since: float) -> list[dict[str, Any]]:
        """Windows of active and successful runs of a key since ``since``, when the key was created."""
        unspent = "(ended_at IS NULL OR phase = 'SUCCEEDED')"
        where = f"rule = '{name}' AND key = '{key}' AND created_at >= {since}"
        rows = self.bench.query(f'SELECT "window" FROM runs WHERE {where} AND {unspent}')
        return [json.loads(row[0]) for row in rows]

    def newest_of_each_thing_is_somewhere(self, seqs: list[int], times: Counter[int]) -> None:
        newest: dict[str, int] = {}
        for seq, data in self.bench.query("SELECT seq, data FROM events ORDER BY seq"):
            if seq in seqs:
                newest[json.loads(data)["thing"]] = seq
        assert all(times[seq] == 1 for seq in newest.values())

    @invariant()
    def a_thing_counts_once_in_each_window(self) -> None:
        if not hasattr(self, "bench"):
            return
        counted: dict[str, list[Any]] = defaultdict(list)
        for row in self.bench.query("SELECT chain, value, bytes FROM distincts"):
            counted[row[0]].append(row)
        windows = {
            chain: json.loads(window)
            for chain, window in self.bench.query(
                "SELECT chain, \"window\" FROM runs WHERE rule = 'things' AND ended_at IS NULL"
            )
        }
        for (text,) in self.bench.query("SELECT state FROM states WHERE rule = 'things'"):
            pending = decode(text).window
            windows[""] = {"events": pending.events, "bytes": pending.bytes}
        assert set(counted) <= set(windows)
        for chain, window in windows.items():
            assert window.get("events", 0) == len(counted[chain])
            assert window.get("bytes", 0) == sum(row[2] for row in counted[chain])

    @invariant()
    def keys_stay_within_their_number_and_are_counted_right(self) -> None:
        if not hasattr(self, "bench"):
            return
        known = self.bench.query("SELECT count(*) FROM states WHERE rule = 'keyed' AND key != ''")[0][0]
        assert known <= MAX_KEYS
        assert self.bench.store.read(lambda conn: self.bench.engine.keys(conn, "keyed")) == known

    @invariant()
    def a_key_with_data_or_runs_is_not_forgotten(self) -> None:
        if not hasattr(self, "bench"):
            return
        keys = {row[0] for row in self.bench.query("SELECT key FROM states WHERE rule = 'keyed'")}
        live = {row[0] for row in self.bench.query("SELECT key FROM runs WHERE rule = 'keyed' AND ended_at IS NULL")}
        assert live <= keys
        owners = {row[0] for row in self.bench.query("SELECT id FROM states")}
        assert {row[0] for row in self.bench.query("SELECT DISTINCT state FROM inputs")} <= owners
        unspent = self.unspent_keys()
        assert unspent <= keys

    def unspent_keys(self) -> set[str]:
        """Keys with counted events that no run has consumed."""
        counted: Counter[str] = Counter()
        for (rules,) in self.bench.query("SELECT rules FROM events"):
            counted.update(key for name, key in json.loads(rules) if name == "keyed")
        for key, window in self.bench.query(
            "SELECT key, \"window\" FROM runs WHERE rule = 'keyed' AND phase = 'SUCCEEDED'"
        ):
            counted[key] -= json.loads(window).get("events", 0)
        return {key for key, left in counted.items() if left}


Stream.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestStream = Stream.TestCase
