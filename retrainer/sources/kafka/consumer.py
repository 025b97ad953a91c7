"""Makes consumers: every option that matters is said here, none is left to a default that resets or commits."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.net.compat import KafkaNetClient

from retrainer.sources.kafka.security import security

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.models import Topics

MOST_RECORDS = 2000
"""Records that one poll returns at most."""
SESSION_MS = 10_000
"""After a kill the partitions are with nobody for so long; the library's own 45 s would hold a restart up."""
HEARTBEAT_MS = 2000
_MIB = 1024 * 1024

# What the library says at length, in lines of its own, is in a source's `last_error` in short.
_LIBRARY = logging.getLogger("kafka")
_LIBRARY.setLevel(logging.WARNING)
_LIBRARY.propagate = False


class LastWords(logging.Handler):
    """Remembers the last thing that the library complained about on behalf of each client.

    The library retries on its own and raises only time-outs; the reason (refused, certificate not trusted, password
    wrong) stands in its log alone.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: dict[str, str] = {}
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("kafka.net") and record.threadName:
            with self._guard:
                self._said[record.threadName] = record.getMessage()

    def of(self, client_id: str) -> str:
        with self._guard:
            return self._said.get(f"kafka-io-{client_id}", "")

    def forget(self, client_id: str) -> None:
        with self._guard:
            self._said.pop(f"kafka-io-{client_id}", None)


LAST_WORDS = LastWords()
_LIBRARY.addHandler(LAST_WORDS)


class Unreachable(Exception):
    """No broker answers, or none lets us in; the message says why."""


def open_consumer(topics: Topics, base_folder: Path, client_id: str, *, group: bool = True) -> KafkaConsumer:
    """Connect, which takes some seconds at most; raise Unreachable, and ValueError for settings that cannot work."""
    clients: list[KafkaNetClient] = []

    def client(**options: Any) -> KafkaNetClient:
        made = KafkaNetClient(**options)
        made.cluster.config["allow_auto_create_topics"] = False  # the consumer's own option does not get there
        clients.append(made)
        return made

    LAST_WORDS.forget(client_id)
    options = _options(topics) | security(topics, base_folder)
    try:
        return KafkaConsumer(
            client_id=client_id, group_id=topics.group_id if group else None, kafka_client=client, **options
        )
    except Exception as error:
        for each in clients:
            each.close()  # else each attempt would leave a thread behind
        where = ", ".join(topics.bootstrap_servers)
        raise Unreachable(f"cannot connect to {where}: {LAST_WORDS.of(client_id) or error}") from error


def _options(topics: Topics) -> dict[str, Any]:
    return {
        "bootstrap_servers": topics.bootstrap_servers,
        "bootstrap_timeout_ms": 4000,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "check_crcs": True,
        "partition_assignment_strategy": (CooperativeStickyAssignor,),
        "session_timeout_ms": SESSION_MS,
        "heartbeat_interval_ms": min(HEARTBEAT_MS, SESSION_MS // 3),
        "max_poll_records": MOST_RECORDS,
        "fetch_min_bytes": 1,
        # A partition that has just been read waits for the answer of the others' fetch: no longer than this.
        "fetch_max_wait_ms": 50,
        "fetch_max_bytes": 8 * _MIB,
        "max_partition_fetch_bytes": 2 * _MIB,
        "metadata_max_age_ms": 10_000,
        "request_timeout_ms": 10_000,
        "reconnect_backoff_max_ms": 2000,
        "metrics_enabled": False,
    }
