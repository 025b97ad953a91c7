"""Injects the faults of a plan one at a time, and waits for recovery after each."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from tests.soak.plan import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.soak.daemons import Replica
    from tests.soak.servers import Servers

RECOVERY = 90.0
"""Seconds after the end of a fault within which both daemons must be ready and one must be leader."""
LOOK_EVERY = 0.25
HANDING_OVER = Fault(0.0, "b, so that a has the lead", "stop", 0.0)


class Faults:
    """``unrecovered`` lists the faults after which something did not recover. ``under_way`` is the current fault."""

    def __init__(self, servers: Servers, replicas: Mapping[str, Replica]) -> None:
        self._servers, self._replicas = servers, replicas
        self.done: list[Fault] = []
        self.recoveries: list[tuple[float, str]] = []
        self.unrecovered: list[str] = []
        self.under_way: Fault | None = None
        self.calm_since = time.monotonic()

    def inflict(self, fault: Fault) -> None:
        """Inject a fault; return after recovery, or after `RECOVERY` seconds."""
        self.under_way = fault
        undo = self._begin(fault)
        try:
            threading.Event().wait(fault.seconds)
        finally:
            undo()
        self.done.append(fault)
        self.recovered(str(fault))
        self.under_way = None

    @staticmethod
    def started(replica: Replica) -> None:
        """Wait until the replica is ready for the first time. Raise RuntimeError with its log if it is not."""
        until = time.monotonic() + RECOVERY
        while not replica.is_ready():
            if time.monotonic() > until:
                raise RuntimeError(f"{replica.name} is not ready: {replica.log.read_text()[-3000:]}")
            time.sleep(LOOK_EVERY)

    def recovered(self, after: str) -> None:
        """Wait until both replicas are ready and one of them is leader."""
        ended = time.monotonic()
        while why := self.trouble():
            if time.monotonic() - ended > RECOVERY:
                self.unrecovered.append(f"not recovered from {after}: {why} after {RECOVERY:g} s")
                break
            time.sleep(LOOK_EVERY)
        self.calm_since = time.monotonic()
        self.recoveries.append((round(self.calm_since - ended, 1), after))

    def trouble(self) -> str:
        """What is not healthy; empty if everything is."""
        away = [name for name, replica in self._replicas.items() if not replica.is_ready()]
        if away:
            return f"{' and '.join(away)} not ready"
        leaders = [name for name, replica in self._replicas.items() if replica.leads()]
        return "" if len(leaders) == 1 else f"led by {' and '.join(leaders) or 'nobody'}"

    def dispatch(self) -> None:
        """Make `a` the leader: from then on it is spared, so that one process survives to the end."""
        if self._replicas["a"].leads():
            return
        self.under_way = HANDING_OVER
        other = self._replicas["b"]
        other.send(signal.SIGTERM)
        other.ended(40)
        self._await_lead()
        other.launch()
        self.recovered(str(HANDING_OVER))
        self.under_way = None

    def _await_lead(self) -> None:
        until = time.monotonic() + RECOVERY
        while not self._replicas["a"].leads():
            if time.monotonic() > until:
                self.unrecovered.append("a did not take the lead that b gave away")
                return
            time.sleep(LOOK_EVERY)

    def _begin(self, fault: Fault) -> Callable[[], None]:
        """Start a fault; return a function that ends it."""
        if fault.part in self._replicas:
            return self._on_daemon(self._replicas[fault.part], fault.kind)
        if (line := self._servers.lines.get(fault.part)) is not None:
            switch = line.sever if fault.kind == "cut" else line.hush
            switch(True)
            return lambda: switch(False)
        return self._servers.freeze(fault.part) if fault.kind == "freeze" else self._servers.end(fault.part, fault.kind)

    @staticmethod
    def _on_daemon(replica: Replica, kind: str) -> Callable[[], None]:
        if kind == "freeze":
            replica.send(signal.SIGSTOP)
            return lambda: replica.send(signal.SIGCONT)
        replica.send(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        replica.ended(40)
        return replica.launch
