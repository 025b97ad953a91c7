"""Records of 300 bytes in separate topics, and the cost of reading them without retrainer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from tests.integration.broker import Broker

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = os.environ.get("KAFKA", "127.0.0.1:19092")
PARTITIONS = 3
RECORD_BYTES = 300
MODELS = 33
"""Number of different values of `model`. Record n has n modulo this number."""
PRODUCER = {"linger_ms": 20, "batch_size": 1 << 18}
RAW = "from tests.benchmarks.records import raw; raw()"


def up() -> bool:
    """Whether a broker answers."""
    try:
        KafkaAdminClient(bootstrap_servers=SERVERS, bootstrap_timeout_ms=3000).close()
    except (KafkaError, OSError):
        return False
    return True


@contextmanager
def topic() -> Iterator[str]:
    """Create a topic with three partitions, and delete it at the end. Start a broker if none is up."""
    name = f"bench-{uuid.uuid4().hex[:10]}"
    with _broker():
        admin = KafkaAdminClient(bootstrap_servers=SERVERS)
        try:
            admin.create_topics([NewTopic(name, PARTITIONS, 1)])
            yield name
            admin.delete_topics([name])
        finally:
            admin.close()


@contextmanager
def _broker() -> Iterator[None]:
    if up():
        yield
        return
    own = Broker(int(SERVERS.rpartition(":")[2]))
    own.up()
    try:
        yield
    finally:
        own.down()


def record(n: int, models: int = MODELS) -> bytes:
    """Return JSON of exactly 300 bytes, in the form of a report about a new file."""
    model = f"model-{n % models}"
    data = {"n": n, "model": model, "key": f"{model}/2026/11/24/part-{n:09}.parquet", "size": 4096, "note": ""}
    return orjson.dumps({**data, "note": "x" * (RECORD_BYTES - len(orjson.dumps(data)))})


def produce(name: str, count: int, models: int = MODELS) -> dict[str, Any]:
    """Write records 0, 1, … to the partitions in turn, each exactly once (an idempotent producer, acks from all)."""
    producer = KafkaProducer(bootstrap_servers=SERVERS, **PRODUCER)
    began = time.monotonic()
    for n in range(count):
        producer.send(name, record(n, models), partition=n % PARTITIONS)
    producer.flush()
    producer.close()
    return {"records": count, "produced_per_second": round(count / (time.monotonic() - began))}


def raw_rate(name: str, count: int, *, decode: bool) -> dict[str, float]:
    """Records a second through kafka-python alone, in a separate process, and the CPU time of each record.

    With ``decode``, records are read one by one with `json.loads` as deserializer, as in its documentation. Otherwise
    they are read in polls of 2,000 and only counted.
    """
    command = [sys.executable, "-c", RAW, name, str(count), "decode" if decode else "poll"]
    found: dict[str, float] = orjson.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def raw() -> None:
    """The separate process: read_committed and with verified checksums, as in the source."""
    name, count, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    consumer = KafkaConsumer(
        name,
        bootstrap_servers=SERVERS,
        group_id=f"raw-{uuid.uuid4().hex[:10]}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        value_deserializer=json.loads if how == "decode" else None,
    )
    seen, first, began, cpu = 0, 0, 0.0, 0.0
    for got in _one_by_one(consumer) if how == "decode" else _polls(consumer):
        seen += got
        if got and not first:  # excludes joining the group and finding the brokers
            first, began, cpu = seen, time.monotonic(), time.process_time()
        if seen >= count:
            break
    rate = (seen - first) / (time.monotonic() - began)
    each = 1e6 * (time.process_time() - cpu) / (seen - first)
    consumer.close(autocommit=False)
    print(orjson.dumps({"per_second": round(rate), "cpu_us_per_record": round(each, 1)}).decode())


def _one_by_one(consumer: KafkaConsumer) -> Iterator[int]:
    for record in consumer:
        yield 1 if record.value["n"] >= 0 else 0


def _polls(consumer: KafkaConsumer) -> Iterator[int]:
    while True:
        yield sum(map(len, consumer.poll(1000, max_records=2000).values()))
