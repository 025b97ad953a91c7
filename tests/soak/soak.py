"""One run: start everything, apply load and faults, settle, observe, and shut down."""

from __future__ import annotations

import contextlib
import http.client
import pickle
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.conftest import audited
from tests.integration.prometheus.monitoring import TOKEN
from tests.soak import rules
from tests.soak.account import REGION_RULE, Facts, is_bad, regional
from tests.soak.auditor import Auditor
from tests.soak.daemons import Replica
from tests.soak.faults import Faults
from tests.soak.levels import Levels
from tests.soak.load import Load
from tests.soak.plan import early, plan
from tests.soak.samples import Sampler, growth
from tests.soak.servers import Servers
from tests.soak.trouble import Editor, Poisoner
from tests.soak.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.samples import Growth

TELL_EVERY = 30.0
SETTLE = 120.0
"""Seconds for the remaining events to be processed after the last fault."""
TICK = 0.25
EDGE = 0.15
"""Share of the run at either end in which a process may be unobserved: faults leave few quiet periods."""


class Soak:
    """``folder`` has logs, settings and rules of the daemons. It is kept if a claim failed."""

    def __init__(self, seed: int, minutes: float, spared: frozenset[str], say: Callable[[str], None]) -> None:
        self.seed, self.minutes, self._say = seed, minutes, say
        self.plan = plan(seed, minutes, spared)
        self.folder = Path(tempfile.mkdtemp(prefix="soak-"))
        self.retention = 600.0 if minutes >= 30 else 60.0
        self._end = contextlib.ExitStack()
        self._over = threading.Event()
        self._broken: list[str] = []
        threading.excepthook = self._broke

    def run(self) -> Facts:
        """Raise an exception if the run could not be carried out."""
        with self._end:
            self._put_up()
            self._play()
            return self._settle()

    def _broke(self, what: threading.ExceptHookArgs) -> None:
        """Record that a sender or observer thread died: without these threads all claims would hold trivially."""
        name = what.thread.name if what.thread else "a thread"
        self._broken.append(f"{name}: {what.exc_type.__name__}: {what.exc_value}")
        self._say(f"broken: {self._broken[-1]}")

    def _put_up(self) -> None:
        self.servers = self._end.enter_context(Servers())
        self._end.callback(self.servers.keep_logs, self.folder)
        folder = self.folder / "rules"
        folder.mkdir()
        for name, text in rules.files(self.servers.sources()).items():
            (folder / name).write_text(text)
        kept = f"{self.retention:.0f}s"
        self.replicas = {name: Replica(name, self.folder / name, self.servers, folder, kept) for name in "ab"}
        both = list(self.replicas.values())
        for replica in both:
            self._end.callback(replica.close)
        self.servers.door.ports = [replica.port for replica in both]
        self.faults = Faults(self.servers, self.replicas)
        for replica in both:  # one after the other, so that `a` becomes leader
            replica.launch()
            self.faults.started(replica)
        self.load = Load(self.servers, both)
        self.witness = Witness(self.servers.cluster, self.servers.namespace)
        self.auditor = Auditor(both)
        self.levels = Levels(self.servers, self.load.hooks, self.auditor, self.witness)
        self.poisoner = Poisoner(self.seed, self.servers, self.load.hooks, TOKEN)
        self.editor = Editor(self.seed, folder)
        self.sampler = Sampler(self.servers, self.replicas, self.faults, self.retention)
        for each in (self.witness, self.auditor):
            self._end.callback(each.stop)

    def _play(self) -> None:
        """Load, poison and edits run in threads; the faults are injected here."""
        self.load.seed()
        for each in (self.load, self.levels, self.poisoner, self.editor, self.sampler):
            each.start()
        began = time.monotonic()
        teller = threading.Thread(target=self._tell, args=(began,), daemon=True)
        teller.start()
        whole, handed = 60.0 * self.minutes, False
        for fault in self.plan:
            if not handed and fault.at >= early(self.minutes):
                self.faults.dispatch()
                handed = True
            self._wait_until(began + fault.at)
            if time.monotonic() - began + fault.seconds > whole:
                break  # recovery took longer than planned
            self._say(f"{_clock(began)}  {fault}")
            self.faults.inflict(fault)
        if not handed:
            self.faults.dispatch()
        self._wait_until(began + whole)

    @staticmethod
    def _wait_until(moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, TICK))

    def _tell(self, began: float) -> None:
        told: set[str] = set()
        while not self._over.wait(TELL_EVERY):
            for line in self._troubles() - told:
                self._say(f"{_clock(began)}  wrong: {line}")
                told.add(line)
            seen = len(self.witness.seen)
            poison = sum(self.poisoner.seen.kinds.values())
            self._say(
                f"{_clock(began)}  {self.load.accepted():,} events, {poison:,} bad ones, {seen:,} Workflows, "
                f"{sum(self.editor.kinds.values())} edits, {len(self.faults.done)} faults"
                f"{self._memory()}"
            )

    def _troubles(self) -> set[str]:
        """Violations of claims that are already certain."""
        found = set(self.auditor.backwards) | set(self.faults.unrecovered) | set(self.sampler.sick)
        return found.union(self._refused(), self._odd(), self._odd_ends(), self._missed())

    def _refused(self) -> list[str]:
        return [line for one in (*self.load.sent.values(), self.levels.sent) for line in one.refused]

    def _odd(self) -> list[str]:
        good = [line for one in (*self.load.sent.values(), self.levels.sent) for line in one.odd]
        return [*good, *self.poisoner.seen.odd]

    def _odd_ends(self) -> list[str]:
        return [f"{name} ended with {code}" for name, one in self.replicas.items() for code in one.odd_ends()]

    def _missed(self) -> list[str]:
        return [line for level in self.levels.levels.values() for line in level.missed]

    def _memory(self) -> str:
        last = {one.daemon: one for one in self.sampler.samples[-4:]}
        return "".join(f", {name} {one.resident:.0f} MiB" for name, one in sorted(last.items()))

    def _settle(self) -> Facts:
        self._over.set()
        self._say("what was sent comes through")
        self.sampler.stop()
        for each in (self.poisoner, self.editor, self.levels, self.load):
            each.stop()
        self.faults.recovered("all of it")
        until = time.monotonic() + SETTLE
        while time.monotonic() < until and not self._is_settled():
            time.sleep(1.0)
        facts = self._facts()
        (self.folder / "facts.pickle").write_bytes(pickle.dumps((facts, self.sampler.samples)))
        return facts

    def _is_settled(self) -> bool:
        with contextlib.suppress(OSError, RuntimeError, http.client.HTTPException):
            self.witness.look()
            self.auditor.look()
            taken = {number for one in self.witness.seen.values() for number in ((one.rule, n) for n in one.took)}
            decided = all(sent.accepted <= self.auditor.told[road].keys() for road, sent in self.load.sent.items())
            ran = all(
                sent.accepted <= {n for rule, n in taken if rule.startswith(f"{road}-")}
                for road, sent in self.load.sent.items()
            )
            placed = self.poisoner.seen.records <= self.auditor.places
            keyed = set(regional(self.load.sent["records"].accepted)) <= {n for rule, n in taken if rule == REGION_RULE}
            return decided and ran and keyed and placed and not self._open_runs()
        return False

    def _open_runs(self) -> list[str]:
        return [one for one in self.auditor.open_runs() if not is_bad(self.auditor.runs[one]["rule"])]

    def _facts(self) -> Facts:
        sent = self.load.sent
        return Facts(
            minutes=self.minutes,
            accepted={road: one.accepted for road, one in sent.items()},
            unknown={road: one.unknown for road, one in sent.items()},
            told=self.auditor.told,
            seen=list(self.witness.seen.values()),
            created=audited(self.servers.namespace),
            runs=self.auditor.runs,
            backwards=self.auditor.backwards,
            rises={name: level.rises for name, level in self.levels.levels.items()},
            missed=self._missed(),
            crossings=self.auditor.crossings,
            refused=self._refused(),
            odd=self._odd(),
            records=self.poisoner.seen.records,
            places=self.auditor.places,
            broken_threads=self._broken,
            odd_ends=self._odd_ends(),
            unrecovered=self.faults.unrecovered,
            sick=self.sampler.sick,
            growths=self._growths(),
            store=self.sampler.store,
            retention=self.retention,
        )

    def _growths(self) -> list[Growth]:
        """Growth of the processes that lived through the last three quarters, from samples in quiet periods."""
        whole = 60.0 * self.minutes
        found = []
        for life in sorted({(one.daemon, one.life) for one in self.sampler.samples}):
            mine = [one for one in self.sampler.samples if (one.daemon, one.life) == life]
            if mine[0].at <= (0.25 + EDGE) * whole and mine[-1].at >= (1 - EDGE) * whole:
                found.append(growth(mine, whole / 4, whole / 12))
        return [one for one in found if one is not None]


def _clock(began: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    return f"{minutes:3}:{seconds:02}"
