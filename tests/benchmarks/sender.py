"""Senders of numbered events: by webhook, over persistent connections, and into a topic."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson
from kafka import KafkaProducer

from tests.benchmarks.daemon import HOOK
from tests.benchmarks.records import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADERS = {"Content-Type": "application/json"}


class Sender:
    """``sent`` and ``answered`` have time.monotonic by event number. A response other than 202 is an error."""

    def __init__(self, port: int, connections: int = 8, host: str = "127.0.0.1") -> None:
        self._address = host, port
        self._local = threading.local()
        self._hands = ThreadPoolExecutor(connections)
        self.sent: dict[int, float] = {}
        self.answered: dict[int, float] = {}

    def at_rate(self, per_second: float, seconds: float) -> None:
        """Open loop: a slow response does not delay other events."""
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
            conn = self._local.conn = http.client.HTTPConnection(*self._address, timeout=60)
            conn.connect()
        data = orjson.dumps(body)
        self.sent[n] = time.monotonic()
        conn.request("POST", HOOK, body=data, headers=HEADERS)
        response = conn.getresponse()
        answer = response.read()
        self.answered[n] = time.monotonic()
        if response.status != 202:
            raise RuntimeError(f"event {n} was answered {response.status}: {answer[:300]!r}")


class Producer:
    """Like `Sender`, with the broker's acknowledgement as response."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all", linger_ms=0)
        self.sent: dict[int, float] = {}
        self.answered: dict[int, float] = {}

    def at_rate(self, per_second: float, seconds: float) -> None:
        """Open loop, like `Sender.at_rate`."""
        began = time.monotonic()
        for n in range(int(per_second * seconds)):
            time.sleep(max(0.0, began + n / per_second - time.monotonic()))
            self._send(n)
        self._producer.flush()

    def all_at_once(self, numbers: Iterable[int]) -> None:
        for n in numbers:
            self._send(n)
        self._producer.flush()

    def close(self) -> None:
        self._producer.close()

    def _send(self, n: int) -> None:
        self.sent[n] = time.monotonic()
        self._producer.send(self._topic, orjson.dumps({"n": n})).add_callback(self._acknowledged, n)

    def _acknowledged(self, n: int, _where: object) -> None:
        self.answered[n] = time.monotonic()
