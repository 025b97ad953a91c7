"""Throughput from Kafka to the durable decision, next to kafka-python alone, and with many more rules."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.load import kafka_sources, matching_rules
from tests.benchmarks.progress import follow, miscounted, pace
from tests.benchmarks.records import MODELS, produce, raw_rate, topic

RECORDS = 200_000
ROUNDS = 3
FEW, MANY = 100, 10_000
METHOD = (
    f"{RECORDS:,} JSON records of 300 bytes wait in a topic of three partitions on a real broker on the same machine. "
    "The daemon is a process of its own with its defaults (SQLite, synchronous=FULL); 3 of its rules match each record "
    f"by equality. What is durable is seen from outside by the positions that the API shows. {ROUNDS} rounds, in each "
    f"of them kafka-python alone, {FEW} rules, {MANY:,} rules; the median. "
)
DECODED = (
    "Raw consumption is kafka-python's own loop over a consumer with `json.loads` for its value_deserializer, and "
    "nothing done with what it gives."
)
POLLED = "Here raw consumption is only polling, 2,000 records at once, and counting them: nothing is read of a record."


def throughput() -> list[Figure]:
    with topic() as name:
        detail: dict[str, Any] = produce(name, RECORDS)
        rounds = [_round(name) for _ in range(ROUNDS)]
    detail["rounds"] = rounds
    rate = _median(r["few"]["per_second"] for r in rounds)
    to_decoded = _median(r["few"]["per_second"] / r["decoded"]["per_second"] for r in rounds)
    to_polled = _median(r["few"]["per_second"] / r["polled"]["per_second"] for r in rounds)
    many_to_few = _median(r["many"]["per_second"] / r["few"]["per_second"] for r in rounds)
    wrong = sum(r[which]["miscounted"] for r in rounds for which in ("few", "many"))
    judged = "Records that the ledger or a matching rule has not exactly once, recounted from what was produced."
    return [
        Figure("kafka_to_decision", rate, "1/s", METHOD, 15_000, True, detail),
        Figure("kafka_to_decision_ratio_to_raw", round(to_decoded, 3), "", METHOD + DECODED, 0.25, True),
        Figure("kafka_to_decision_ratio_to_polling", round(to_polled, 3), "", METHOD + POLLED, at_least=True),
        Figure("kafka_10000_rules_ratio_to_100", round(many_to_few, 3), "", METHOD, 0.8, True),
        Figure("kafka_miscounted", wrong, "records", judged, 0),
    ]


def _round(name: str) -> dict[str, Any]:
    return {
        "polled": raw_rate(name, RECORDS, decode=False),
        "decoded": raw_rate(name, RECORDS, decode=True),
        "few": read(name, RECORDS, FEW),
        "many": read(name, RECORDS, MANY),
    }


def read(name: str, records: int, rules: int) -> dict[str, Any]:
    """Let a new daemon read a topic from its beginning; return its rate, and the records that it miscounted."""
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder), "", matching_rules(rules), kafka_sources(name))
        with daemon:
            looks = follow(daemon, records)
            daemon.stop()
        return pace(looks, records) | {"miscounted": miscounted(daemon.store, records, MODELS)}


def _median(values: Any) -> float:
    return percentile(values, 0.5)
