"""Threads that send poison and edit rule files at random until they are stopped."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from kafka.errors import KafkaError

from tests.soak.edits import edit, mended, shown
from tests.soak.poison import HOOKS, bad_event

if TYPE_CHECKING:
    from pathlib import Path

    from kafka import KafkaProducer

    from tests.soak.load import Hooks
    from tests.soak.poison import Bad
    from tests.soak.servers import Servers

POISON_EVERY = 1.0
EDIT_EVERY = (6.0, 20.0)
ALLOWED = frozenset({0, 202, 400, 408, 413, 415, 422, 503})
"""Allowed responses to a bad request. 0 is no response, as a daemon may be down. Any other is a fault of retrainer."""
SINGLE = frozenset({"records", "packed"})
"""Topics in which each record is one event or dead letter, whatever its content. Their sources have the same names."""
WORDS = frozenset({"matched", "filtered", "duplicate", "dead_lettered", "ignored", "accepted"})


@dataclass(slots=True)
class Poisoned:
    """What was sent, and the responses."""

    kinds: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    records: set[tuple[str, int, int]] = field(default_factory=set)
    """Topic, partition and offset of the records that the broker accepted."""


class Poisoner:
    def __init__(self, seed: int, servers: Servers, hooks: Hooks, token: str) -> None:
        self.seen = Poisoned()
        self._chance = random.Random(f"{seed}/poison")
        self._servers, self._hooks = servers, hooks
        self._token = {"authorization": f"Bearer {token}"}
        self._producer: KafkaProducer | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="poison", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        if self._producer is not None:
            self._producer.flush(60)
            self._producer.close()

    def _main(self) -> None:
        while not self._stop.wait(POISON_EVERY):
            bad = bad_event(self._chance)
            self.seen.kinds[bad.what] += 1
            if bad.road in HOOKS:
                self._post(bad)
            else:
                self._produce(bad)

    def _post(self, bad: Bad) -> None:
        headers = {name: value.encode("ascii", "replace").decode() for name, value in bad.headers.items()}
        status, answer = self._hooks.post(f"/hooks/{bad.road}", bad.body or b"", {**headers, **self._token})
        self.seen.answers[status] += 1
        if status not in ALLOWED:
            self.seen.odd.append(f"{bad.what} to {bad.road}: {status} {answer[:200]!r}")
        if status == 202:
            self._told(bad, answer)

    def _told(self, bad: Bad, answer: bytes) -> None:
        outcomes = orjson.loads(answer)["outcomes"]
        self.seen.outcomes.update(outcomes)
        if not set(outcomes) <= WORDS:
            self.seen.odd.append(f"{bad.what} to {bad.road}: {answer[:200]!r}")

    def _produce(self, bad: Bad) -> None:
        try:
            if self._producer is None:
                self._producer = self._servers.producer()
            producer = self._producer
            sent = producer.send(bad.road, value=bad.body, key=b"poison")
        except KafkaError:
            self._forget(self._producer)
            return
        if bad.road in SINGLE:
            sent.add_callback(lambda at: self.seen.records.add((at.topic, at.partition, at.offset)))
        sent.add_errback(lambda _: self._forget(producer))

    def _forget(self, old: KafkaProducer | None) -> None:
        """Replace a producer that gave up, because its sequence has a gap."""
        if old is not None and old is self._producer:
            self._producer = None
            threading.Thread(target=old.close, kwargs={"timeout": 5}, daemon=True).start()


class Editor:
    """Edits the rules' folder. `mend` restores it. ``log`` has each edit."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.kinds: Counter[str] = Counter()
        self._chance = random.Random(f"{seed}/edits")
        self._folder = folder
        self._log = (folder.parent / "edits.log").open("w")
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="edits", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.mend()
        self._log.close()

    def _main(self) -> None:
        while not self._stop.wait(self._chance.uniform(*EDIT_EVERY)):
            self._number += 1
            one = edit(self._chance, self._number)
            self.kinds[one.what] += 1
            self._log.write(f"{time.time():.1f} {shown(one)}\n")
            self._log.flush()
            self._write(one.file, one.text)

    def mend(self) -> None:
        for one in mended():
            self._write(one.file, one.text)

    def _write(self, name: str, text: str | None) -> None:
        """Replace the file atomically, as editors and ConfigMaps do."""
        path = self._folder / name
        if text is None:
            path.unlink(missing_ok=True)
            return
        fresh = self._folder / f".{name}.new"
        fresh.write_text(text)
        fresh.rename(path)
