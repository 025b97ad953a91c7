"""Senders of webhook events, over connections that stay open."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson

from tests.benchmarks.daemon import HOOK

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADERS = {"Content-Type": "application/json"}


class Sender:
    """``sent`` and ``answered`` hold time.monotonic by event number; an answer other than 202 is an error."""

    def __init__(self, port: int, connections: int = 8) -> None:
        self._port = port
        self._local = threading.local()
        self._hands = ThreadPoolExecutor(connections)
        self.sent: dict[int, float] = {}
        self.answered: dict[int, float] = {}

    def at_rate(self, per_second: float, seconds: float) -> None:
        """Open loop: a slow answer delays nobody else."""
        began = time.monotonic()
        futures = []
        for n in range(int(per_second * seconds)):
            time.sleep(max(0.0, began + n / per_second - time.monotonic()))
            futures.append(self._hands.submit(self.send, n))
        for future in futures:
            future.result()

    def all_at_once(self, numbers: Iterable[int]) -> None:
        list(self._hands.map(self.send, numbers))

    def send(self, n: int) -> None:
        self.send_body(n, {"n": n})

    def send_body(self, n: int, body: Any) -> None:
        conn = getattr(self._local, "conn", None)
        if conn is None:
            conn = self._local.conn = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            conn.connect()
        data = orjson.dumps(body)
        self.sent[n] = time.monotonic()
        conn.request("POST", HOOK, body=data, headers=HEADERS)
        response = conn.getresponse()
        answer = response.read()
        self.answered[n] = time.monotonic()
        if response.status != 202:
            raise RuntimeError(f"event {n} was answered {response.status}: {answer[:300]!r}")
