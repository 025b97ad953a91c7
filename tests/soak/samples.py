"""The size of the daemons and of the store, measured from outside."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import psycopg

from tests.soak.rules import is_judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.soak.daemons import Replica
    from tests.soak.faults import Faults
    from tests.soak.servers import Servers

EVERY = 2.0
SLACK = 360.0
"""Seconds beyond the retention: a window of `many-keys` needs its events for four minutes, and pruning takes two."""
CALM = 5.0
"""Seconds without a fault before a sample counts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of one process, ``at`` seconds after the load began. ``life`` numbers the processes of one daemon."""

    at: float
    daemon: str
    life: int
    resident: float
    threads: int
    descriptors: int
    sockets: int


@dataclass(frozen=True, slots=True)
class StoreSample:
    """``old`` events are older than the retention plus `SLACK`. Waiting windows may need some of them."""

    at: float
    bytes: int
    events: int
    old: int


class Sampler:
    """Samples while there is no fault. ``sick`` has daemons that reported ill health although no fault had hit them."""

    def __init__(self, servers: Servers, replicas: Mapping[str, Replica], faults: Faults, retention: float) -> None:
        self._servers, self._replicas, self._faults = servers, replicas, faults
        self._kept = retention + SLACK
        self.samples: list[Sample] = []
        self.store: list[StoreSample] = []
        self.sick: list[str] = []
        self.began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="sampler", daemon=True)

    def start(self) -> None:
        self.began = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _main(self) -> None:
        turn = 0
        while not self._stop.wait(EVERY):
            if self._is_calm():
                self._look(turn)
            turn += 1

    def _is_calm(self) -> bool:
        return self._faults.under_way is None and time.monotonic() - self._faults.calm_since > CALM

    def _look(self, turn: int) -> None:
        at = round(time.monotonic() - self.began, 1)
        for name, replica in self._replicas.items():
            life = replica.lives
            with contextlib.suppress(OSError, StopIteration):
                used = replica.usage()
                self.samples.append(
                    Sample(
                        at,
                        name,
                        life,
                        used["resident"],
                        int(used["threads"]),
                        int(used["descriptors"]),
                        int(used["sockets"]),
                    )
                )
            if not replica.is_healthy() and self._is_calm():
                self.sick.append(f"{name} at {at:.0f} s: /healthz")
            if turn % 5 == 0:
                self.sick += [f"{name} at {at:.0f} s: {what}" for what in complaints(replica.text("/metrics"))]
        if turn % 5 == 0:
            with contextlib.suppress(psycopg.Error):
                self._look_at_store(at)

    def _look_at_store(self, at: float) -> None:
        query = (
            f"SELECT count(*), count(*) FILTER (WHERE at < extract(epoch FROM now()) - {self._kept:.0f}) FROM events"
        )
        events, old = self._servers.postgres.query(self._servers.database, query)[0]
        self.store.append(StoreSample(at, self._servers.size(), int(events), int(old)))


RECEIVED = "retrainer_events_received_total"
PARTS_OF_IT = tuple(
    f"retrainer_events_{end}_total" for end in ("matched", "filtered", "duplicate", "dead_lettered", "ignored")
)
QUARANTINED = re.compile(r'retrainer_rule_paused\{by="quarantine",rule="([^"]+)"\}')
NEVER = ("retrainer_source_halted_partitions", "retrainer_inputs_left_out_total", "retrainer_thread_restarts_total")
"""Series that must stay 0."""


def complaints(metrics: str) -> list[str]:
    """Values in a scrape that must never occur."""
    values = {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in metrics.splitlines() if line[:1] != "#")
    }
    found = [f"{name} {value:g}" for name, value in values.items() if name.startswith(NEVER) and value > 0]
    found += [
        name for name, value in values.items() if (rule := QUARANTINED.match(name)) and value and is_judged(rule[1])
    ]
    for name, value in values.items():
        if name.startswith(RECEIVED):
            source = name.removeprefix(RECEIVED)
            parts = sum(values.get(f"{part}{source}", 0.0) for part in PARTS_OF_IT)
            if parts != value:
                found.append(f"{name} {value:g}, and its outcomes are {parts:g}")
    return found


@dataclass(frozen=True, slots=True)
class Growth:
    """Growth of one process between the first and last part of a period: medians of memory, minima of the rest."""

    daemon: str
    life: int
    seconds: float
    resident: tuple[float, float]
    threads: tuple[int, int]
    descriptors: tuple[int, int]

    @property
    def memory(self) -> float:
        """As a fraction of the initial memory."""
        return self.resident[1] / self.resident[0] - 1


def growth(samples: Sequence[Sample], since: float, part: float) -> Growth | None:
    """Compare the first and last ``part`` seconds of one process after ``since``. None if there are too few samples."""
    mine = [one for one in samples if one.at >= since]
    if len(mine) < 6:
        return None
    begin, end = mine[0].at, mine[-1].at
    first = [one for one in mine if one.at <= begin + part]
    last = [one for one in mine if one.at >= end - part]
    return Growth(
        mine[0].daemon,
        mine[0].life,
        end - begin,
        (median(one.resident for one in first), median(one.resident for one in last)),
        (min(one.threads for one in first), min(one.threads for one in last)),
        (min(one.descriptors for one in first), min(one.descriptors for one in last)),
    )
