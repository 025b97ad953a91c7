"""Several readers of a source on one store.

A host has the engine and its store, and serves the intake on 127.0.0.1. Each reader is a separate process with the
real source, and can be killed and frozen.
"""

from __future__ import annotations

import contextlib
import copyreg
import json
import secrets
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.config import models
from retrainer.engine.replication import readers
from retrainer.sources import registry
from retrainer.sources.base import Overloaded
from retrainer.util.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from retrainer.engine.core.engine import Engine
    from retrainer.sources.base import Batch, Claimed, Receipt

MOST_WAITING = 16
EXPOSED = ("offer", "wait", "objects", "claim", "readers", "leave", "parts")
ANSWER = 120.0
copyreg.pickle(
    Overloaded, lambda error: (Overloaded, (error.retry_after,))
)  # the default would pass its text to the constructor


class RunGateway:
    """The intake calls of a reader, served to other processes. A future cannot be sent to a process, so a ticket is.

    While it is ``busy``, all offers are refused and counted in ``refused``.
    """

    def __init__(self, engine: Engine) -> None:
        self.busy = False
        self.refused = 0
        self._engine = engine
        self._tickets: dict[int, Future[Receipt]] = {}
        self._numbers = count()

    def offer(self, batch: Batch) -> int:
        if self.busy:
            self.refused += 1
            raise Overloaded(1.0)
        ticket = next(self._numbers)
        self._tickets[ticket] = self._engine.offer(batch)
        return ticket

    def wait(self, ticket: int) -> Receipt:
        return self._tickets.pop(ticket).result(ANSWER)

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        return self._engine.objects(source, after=after, prefix=prefix)

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        return self._engine.objects_told(source, keys)

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        return self._engine.claim(source, part, topic_id, start)

    def readers(self, source: str, reader: str) -> list[str]:
        return self._engine.act(lambda tx: readers.renew(tx.conn, source, reader, tx.now)).result()

    def leave(self, source: str, reader: str) -> None:
        self._engine.act(lambda tx: readers.leave(tx.conn, source, reader)).result()

    def parts(self, source: str) -> dict[str, int]:
        return self._engine.parts(source)


class Host:
    """Serves an engine from threads of this process."""

    def __init__(self, engine: Engine) -> None:
        self.gateway = gateway = RunGateway(engine)

        class Manager(BaseManager):
            pass

        Manager.register("gateway", callable=lambda: gateway, exposed=EXPOSED)
        self.key = secrets.token_hex()
        self._server = Manager(("127.0.0.1", 0), self.key.encode()).get_server()
        self.port = self._server.address[1]  # type: ignore[index]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(SystemExit):  # this is how the server ends
            self._server.serve_forever()

    def close(self) -> None:
        self._server.stop_event.set()  # type: ignore[attr-defined]
        self._thread.join()  # the port stays open until the process ends: the accepting thread cannot be stopped


class RemoteIntake:
    """The `Intake` of a reader, which calls the host."""

    def __init__(self, port: int, key: str) -> None:
        class Manager(BaseManager):
            pass

        Manager.register("gateway")
        manager = Manager(("127.0.0.1", port), key.encode())
        manager.connect()
        self._gateway: Any = manager.gateway()  # type: ignore[attr-defined]
        self._waiting = ThreadPoolExecutor(MOST_WAITING)
        self.objects, self.claim, self.parts = self._gateway.objects, self._gateway.claim, self._gateway.parts
        self.readers, self.leave = self._gateway.readers, self._gateway.leave

    def offer(self, batch: Batch) -> Future[Receipt]:
        return self._waiting.submit(self._gateway.wait, self._gateway.offer(batch))


class Consumer:
    """A reader's process, started on construction. It ends when this process ends."""

    def __init__(self, host: Host, name: str, settings: dict[str, Any], log: Path) -> None:
        told = {"port": host.port, "key": host.key, "name": name, "settings": settings}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", __name__], stdin=subprocess.PIPE, stdout=out, stderr=out
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop the process cleanly."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._end()

    def _end(self) -> None:
        self._process.wait(30)
        if self._process.stdin is not None:
            self._process.stdin.close()


def main() -> None:
    """Read the settings from standard input, then read records until standard input is closed."""
    told = json.loads(sys.stdin.readline())
    intake = RemoteIntake(told["port"], told["key"])
    config = models.KafkaSource.model_validate(told["settings"])
    source = registry.build(told["name"], config, intake, SystemClock(), Path())
    source.start()
    sys.stdin.read()
    source.stop()


if __name__ == "__main__":
    main()
