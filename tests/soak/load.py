"""A steady stream on every source: numbered events, each sent until it is acknowledged."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from kafka.errors import KafkaError

from tests.integration.minio import PASSWORD, USER
from tests.soak.poison import JSON, STRUCTURED
from tests.soak.rules import KEYS, MODELS, REGIONAL, REGIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka import KafkaProducer

    from tests.soak.daemons import Replica
    from tests.soak.servers import Servers

PACES = {"push": 3.0, "records": 6.0, "lake": 0.5, "pond": 0.5}
"""Events a second on each channel."""
PATIENCE = 180.0
"""Seconds after which a sender gives up, which is a failure."""
AGAIN_AFTER = 0.3


@dataclass(slots=True)
class Sent:
    """What a channel's sender observed: the ``accepted`` numbers, and the unknown ones, which had no answer."""

    accepted: set[Any] = field(default_factory=set)
    unknown: set[Any] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    """Numbers that were never accepted, with the last answer."""
    odd: list[str] = field(default_factory=list)
    """Answers that a sender of valid events must not get."""


class Hooks:
    """Posts to the replicas in turn. Thread-safe."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas
        self._turn = 0

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Make one attempt; return status and body. The status is 0 if there was no answer."""
        self._turn += 1
        replica = self._replicas[self._turn % len(self._replicas)]
        try:
            return replica.answer("POST", path, body, headers, timeout=10)
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error).encode()

    def until_accepted(self, path: str, body: bytes, headers: dict[str, str], sent: Sent, what: Any) -> bool:
        """Send with retries under the same id until the event is accepted."""
        deadline = time.monotonic() + PATIENCE
        answer = (0, b"")
        while time.monotonic() < deadline:
            answer = self.post(path, body, headers)
            if answer[0] == 202:
                _look(answer[1], sent, what)
                sent.accepted.add(what)
                return True
            if answer[0] not in (0, 503):
                sent.odd.append(f"{what}: {answer[0]} {answer[1][:200]!r}")
            time.sleep(AGAIN_AFTER)
        sent.refused.append(f"{what}: {answer[0]} {answer[1][:200]!r}")
        return False


def _look(answer: bytes, sent: Sent, what: Any) -> None:
    outcomes = orjson.loads(answer)["outcomes"]
    if outcomes not in (["matched"], ["accepted"], ["duplicate"], ["filtered"]):
        sent.odd.append(f"{what}: {answer[:200]!r}")


class Load:
    """All channels, each with its own thread, from `start` to `stop`."""

    def __init__(self, servers: Servers, replicas: list[Replica]) -> None:
        self.hooks = Hooks(replicas)
        self.sent = {road: Sent() for road in PACES}
        self.produced = 0
        self._servers = servers
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._road, args=(road, send), name=f"load-{road}", daemon=True)
            for road, send in (
                ("push", self._push),
                ("records", self._record),
                ("lake", lambda n: self._put("lake", n)),
                ("pond", lambda n: self._put("pond", n)),
            )
        ]
        self._producer: KafkaProducer | None = None
        self._s3: Any = boto3.session.Session(USER, PASSWORD, region_name="us-east-1").client(
            "s3",
            endpoint_url=servers.minio.url,
            config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20),
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return once everything that was sent has been answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._producer is not None:
            self._producer.flush(60)
            self._producer.close()
        self._s3.close()

    def accepted(self) -> int:
        return sum(len(sent.accepted) for sent in self.sent.values())

    def _road(self, road: str, send: Callable[[int], None]) -> None:
        began, n = time.monotonic(), 0
        while not self._stop.wait(max(0.0, began + n / PACES[road] - time.monotonic())):
            send(n)
            n += 1

    def _push(self, n: int) -> None:
        event = {
            "specversion": "1.0",
            "id": f"e-{n}",
            "source": "/soak",
            "type": "sample",
            "data": {"n": n, "model": f"m-{n % MODELS}", "group": f"g-{n % 1000}"},
        }
        self.hooks.until_accepted("/hooks/push", orjson.dumps(event), dict(STRUCTURED), self.sent["push"], n)

    def _record(self, n: int) -> None:
        data = {"n": n, "model": f"m-{n % MODELS}", "group": f"g-{n % 1000}", "user": f"u-{n % KEYS}"}
        if n % REGIONAL == 0:
            data["region"] = f"r-{n // REGIONAL % REGIONS}"
        self.produce("records", orjson.dumps(data), n)

    def seed(self) -> None:
        """Send one record for each of the 10,000 keys at once."""
        for n in range(KEYS):
            self.produce("records", orjson.dumps({"user": f"u-{n}"}), None)

    def produce(self, topic: str, value: bytes, what: Any) -> None:
        """Send one record. A record that is unacknowledged when the producer gives up counts as unknown."""
        sent = self.sent["records"]
        try:
            if self._producer is None:
                self._producer = self._servers.producer()
            producer = self._producer
            future = producer.send(topic, value=value)
        except KafkaError:
            sent.unknown.add(what)
            self._forget(self._producer)
            return
        if what is None:
            return
        future.add_callback(lambda _: sent.accepted.add(what))
        future.add_errback(lambda _: (sent.unknown.add(what), self._forget(producer)))

    def _forget(self, old: KafkaProducer | None) -> None:
        """Replace a producer that gave up, because its sequence has a gap."""
        if old is not None and old is self._producer:
            self._producer = None
            threading.Thread(target=old.close, kwargs={"timeout": 5}, daemon=True).start()

    def _put(self, bucket: str, n: int) -> None:
        """Each attempt is a new object, because one whose answer was lost may exist."""
        sent = self.sent[bucket]
        deadline = time.monotonic() + PATIENCE
        for attempt in range(10_000):
            key = f"m-{n % 2}/{n:08}-{attempt}"
            try:
                self._s3.put_object(Bucket=bucket, Key=key, Body=b"1")
            except (BotoCoreError, ClientError) as error:
                sent.unknown.add(key)
                if time.monotonic() > deadline or self._stop.is_set():
                    sent.refused.append(f"{key}: {error}")
                    return
                time.sleep(AGAIN_AFTER)
            else:
                sent.accepted.add(key)
                return


def value_event(model: str, value: float, number: int) -> tuple[bytes, dict[str, str]]:
    """A pushed value and its headers."""
    return orjson.dumps({"model": model, "value": value}), {**JSON, "idempotency-key": f"{model}-{number}"}
