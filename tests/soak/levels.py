"""Values that rise and fall: scraped by Prometheus, reported by Alertmanager, and pushed.

Each rise must start exactly one run. A level stays high until the run's Workflow was seen, and low until the fall was
reported, so that no fault can hide either. Alertmanager treats an alert as resolved when Prometheus has not reported
it for a while, and does not report a fall that ends sooner. So only the crossings that it reported count.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.soak.load import Sent, value_event
from tests.soak.rules import ALERT, DRIFT, HIGH, LOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.auditor import Auditor
    from tests.soak.load import Hooks
    from tests.soak.servers import Servers
    from tests.soak.witness import Witness

PATIENCE = 120.0
"""Seconds within which a rise must start its run, faults included."""
PUSHED, ALERTED = "pushed", "alerted"
EVERY = 0.3


@dataclass(slots=True)
class Level:
    """``rises`` counts the rises whose run must exist. ``missed`` has what did not arrive."""

    rule: str
    rises: int
    missed: list[str]


class Levels:
    def __init__(self, servers: Servers, hooks: Hooks, auditor: Auditor, witness: Witness) -> None:
        self._target, self._hooks, self._auditor, self._witness = servers.target, hooks, auditor, witness
        self.sent = Sent()
        self.levels = {name: Level(name, 0, []) for name in ("drifted", "alerted", "pushed")}
        self._number = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._turns, args=arguments, name=f"level-{arguments[0]}", daemon=True)
            for arguments in (
                ("drifted", self._gauge(DRIFT), lambda: auditor.last_drift(DRIFT)),
                ("alerted", self._gauge(ALERT), lambda: auditor.last_alert(ALERT)),
                ("pushed", self._push, lambda: auditor.last_value(PUSHED)),
            )
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return after the last rise was answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _gauge(self, model: str) -> Callable[[float], None]:
        return lambda value: self._target.psi.labels(model, "f").set(value)

    def _push(self, value: float) -> None:
        self._number += 1
        self._hooks.until_accepted("/hooks/values", *value_event(PUSHED, value, self._number), self.sent, self._number)

    def _turns(self, rule: str, give: Callable[[float], None], told: Callable[[], float | None]) -> None:
        level = self.levels[rule]
        give(LOW)
        while not self._stop.wait(3.0):
            before, crossed = self._witness.count(rule), self._auditor.crossings
            level.rises += 1
            give(HIGH)
            seen = self._within(lambda before=before: self._witness.count(rule) > before and told() == HIGH)
            if not seen and (rule != ALERTED or self._auditor.crossings > crossed):
                level.missed.append(f"rise {level.rises} of {rule} started no run within {PATIENCE:g} s")
            give(LOW)
            if not self._within(lambda: told() == LOW) and rule != ALERTED:
                level.missed.append(f"fall {level.rises} of {rule} was not told of within {PATIENCE:g} s")

    def _within(self, condition: Callable[[], bool]) -> bool:
        until = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(EVERY)
        return True
