"""A real Kafka broker with the operations that tests need."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCRIPT = Path(__file__).parent / "servers" / "kafka.sh"
CACHE = Path(os.environ.get("KAFKA_DIR", Path.home() / ".cache" / "retrainer-kafka"))


class Broker:
    """One broker on 127.0.0.1. It uses five ports from `port` on; kafka.sh documents them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.servers = f"127.0.0.1:{port}"
        self.tls = CACHE / f"run-{port}" / "tls"
        """Folder with the certificates."""
        self._producer: KafkaProducer | None = None

    def listener(self, offset: int) -> str:
        """Return the address of another listener."""
        return f"127.0.0.1:{self.port + offset}"

    def up(self) -> None:
        """Start the broker without data."""
        self._call("down")
        self._call("up")

    def down(self) -> None:
        """Stop the broker and remove its data."""
        self._forget_producer()
        self._call("down")

    def start(self) -> None:
        """Start the broker with its existing data."""
        self._call("start")

    def stop(self) -> None:
        """Shut the broker down cleanly."""
        self._call("stop")

    def restart(self) -> None:
        self._call("restart")

    def kill(self) -> None:
        """Kill the broker with SIGKILL."""
        self._call("kill")

    def _call(self, command: str) -> None:
        env = {**os.environ, "KAFKA_PORT": str(self.port)}
        done = subprocess.run([SCRIPT, command], env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"kafka.sh {command}: {done.stdout}{done.stderr}"

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        try:
            yield admin
        finally:
            admin.close()

    def create_topic(self, name: str | None = None, partitions: int = 3, **configs: str) -> str:
        """Create a topic, with a generated name unless ``name`` is given. In ``configs``, `_` stands for a dot."""
        name = name or f"t-{uuid4().hex[:12]}"
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        wanted = {name: {"num_partitions": partitions, "replication_factor": 1, "configs": settings}}
        with self.admin() as admin:
            admin.create_topics(wanted, wait_for_metadata=True)
        return name

    def add_partitions(self, name: str, total: int) -> None:
        with self.admin() as admin:
            admin.create_partitions({name: total})
        self._forget_producer()  # its metadata is outdated

    def delete_topic(self, name: str) -> None:
        with self.admin() as admin:
            admin.delete_topics([name])
        self._forget_producer()

    def delete_records(self, name: str, partition: int, before: int) -> None:
        """Delete the records before offset ``before``, as retention does."""
        with self.admin() as admin:
            admin.delete_records({TopicPartition(name, partition): before})

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        key: bytes | None = None,
        headers: Iterable[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> list[tuple[int, int]]:
        """Write records that differ in their values only; return partition and offset of each."""
        more: dict[str, Any] = {"key": key, "headers": list(headers), "partition": partition}
        producer = self._make_producer()
        sent = [producer.send(topic, value=value, timestamp_ms=timestamp_ms, **more) for value in values]
        producer.flush(timeout=60)
        metadata = [future.get(timeout=60) for future in sent]
        return [(each.partition, each.offset) for each in metadata]

    def _make_producer(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = KafkaProducer(bootstrap_servers=self.servers, acks="all", linger_ms=5)
        return self._producer

    def _forget_producer(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None
