"""One of two readers of a source is killed repeatedly under load: everything is counted exactly once."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.figures import Figure
from tests.houses.engine import RunningEngine
from tests.integration.broker import Broker
from tests.integration.conftest import FIRST_PORT, PORTS, free_ports
from tests.integration.kafka.consumers import Consumer, Host
from tests.integration.kafka.judge import Verdict, judge
from tests.integration.kafka.kit import NAME, kafka, numbered, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 2000
KILL_EVERY = 5.0
DURATION = 120.0
FIRES_EVERY = 500
TICK = 0.05
METHOD = (
    f"A real broker, a topic of three partitions, {RATE:,} numbered JSON records a second for {DURATION:g} s. Two "
    "readers, each a process with the real source, divide the partitions in one store, whose engine "
    f"this process serves to them. Every {KILL_EVERY:g} s one of the two, in turn, gets SIGKILL and another starts. "
    f"A rule fires every {FIRES_EVERY} events. Recounted from what was produced: records that are not in the ledger "
    "exactly once, and events that are not in exactly one run or in the window that the last run left open."
)


def kill_one_of_two() -> list[Figure]:
    broker = Broker(free_ports(FIRST_PORT, PORTS))
    broker.up()
    try:
        with tempfile.TemporaryDirectory() as folder:
            verdict, detail = _measure(broker, Path(folder))
    finally:
        broker.down()
    detail |= {"runs_by_size": {str(size): runs for size, runs in sorted(verdict.sizes.items())}}
    detail |= {"lost": verdict.lost, "doubled": verdict.doubled, "foreign": verdict.foreign}
    runs = {"in_no_run": verdict.in_no_run, "in_two_runs": verdict.in_two_runs, "open_window": verdict.open_window}
    counted = verdict.lost + verdict.doubled + verdict.foreign
    return [
        Figure("kill_one_of_two_miscounted", counted, "records", METHOD, 0, detail=detail),
        Figure("kill_one_of_two_runs_wrong", verdict.in_no_run + verdict.in_two_runs, "events", METHOD, 0, detail=runs),
    ]


def _measure(broker: Broker, folder: Path) -> tuple[Verdict, dict[str, Any]]:
    house = RunningEngine(folder / "retrainer.db", max_queue=10_000)
    settings = kafka(broker, broker.create_topic())
    house.load({NAME: settings}, [rule(FIRES_EVERY)])
    host = Host(house.engine)
    try:
        produced, detail = _play(broker, settings, lambda: Consumer(host, NAME, settings, folder / "log"), house)
        return judge(house.query, set(range(produced))), detail
    finally:
        host.close()
        house.close()


def _play(
    broker: Broker, settings: dict[str, Any], start: Callable[[], Consumer], house: RunningEngine
) -> tuple[int, dict[str, Any]]:
    """Produce, and kill readers meanwhile. Wait until all records are stored; return the number produced."""
    load = _Load(broker, settings["topics"][0])
    readers = [start(), start()]
    kills = 0
    began = time.monotonic()
    try:
        while (left := DURATION - (time.monotonic() - began)) > 0:
            time.sleep(min(KILL_EVERY, left))
            readers.pop(0).kill()
            kills += 1
            readers.append(start())
        produced = load.end()
        ended = time.monotonic()
        until(lambda: sum(house.engine.parts(NAME).values()) >= produced, "all is stored", 120.0)
        caught_up = time.monotonic() - ended
    finally:
        load.end()
        for reader in readers:
            reader.kill()
    claims = house.query("SELECT sum(owner_epoch) FROM positions")[0][0]
    rate = round(produced / (ended - began))
    return produced, {
        "produced": produced,
        "produced_per_second": rate,
        "kills": kills,
        "claims": claims,
        "caught_up_s": round(caught_up, 1),
    }


class _Load:
    """Produces at a fixed rate in a thread until `end`."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker, self._topic = broker, topic
        self._numbers = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(TICK):
            due = int((time.monotonic() - began) * RATE)
            self._broker.produce(self._topic, numbered(range(self._numbers, due)))
            self._numbers = due

    def end(self) -> int:
        """Stop producing; return the number of records."""
        self._ended.set()
        self._thread.join()
        return self._numbers
