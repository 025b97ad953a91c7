"""Creates consumers. Every option that matters is set: no default may reset or commit positions."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer
from kafka.errors import KafkaTimeoutError
from kafka.net.compat import KafkaNetClient

from retrainer.sources.kafka import header_names
from retrainer.sources.kafka.security import security

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.models import Topics

MOST_RECORDS = 2000
"""Records that one poll returns at most."""
HUNG_UP = "socket disconnected"
_KINDS = re.compile(r"^(\[Error -?\d+\] )?(\w+Error: )+")
_MIB = 1024 * 1024

# The library's long log messages are summarised in a source's `last_error`.
_LIBRARY = logging.getLogger("kafka")
_LIBRARY.setLevel(logging.WARNING)
_LIBRARY.propagate = False
header_names.read_any()


class LastWords(logging.Handler):
    """Remembers why each client lost its last connection, or got none.

    The library retries by itself and raises only timeouts; the reason (refused, untrusted certificate, wrong password)
    is only in its log. Brokers give it occasionally and otherwise just hang up, which does not replace the reason.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._reasons: dict[str, str] = {}
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.args[-1] if isinstance(record.args, tuple) and record.args else None
        if not isinstance(error, Exception) or isinstance(error, KafkaTimeoutError):
            return
        if record.name in ("kafka.net.connection", "kafka.net.manager") and record.threadName:
            reason = _KINDS.sub("", str(error))
            with self._guard:
                if reason != HUNG_UP:
                    self._reasons[record.threadName] = reason
                else:
                    self._reasons.setdefault(record.threadName, f"{reason}; does it require TLS or SASL?")

    def of(self, client_id: str) -> str:
        with self._guard:
            return self._reasons.get(f"kafka-io-{client_id}", "")

    def forget(self, client_id: str) -> None:
        with self._guard:
            self._reasons.pop(f"kafka-io-{client_id}", None)


LAST_WORDS = LastWords()
_LIBRARY.addHandler(LAST_WORDS)


class BrokerUnreachable(Exception):
    """No broker answers, or none grants access. The message says why."""


def client_id_of(source: str) -> str:
    return f"retrainer-{source}"


def open_consumer(topics: Topics, base_folder: Path, client_id: str, *, group: bool = True) -> KafkaConsumer:
    """Connect within a few seconds. Raise Unreachable, or ValueError for settings that cannot work."""
    clients: list[KafkaNetClient] = []

    def client(**options: Any) -> KafkaNetClient:
        made = KafkaNetClient(**options)
        made.cluster.config["allow_auto_create_topics"] = False  # the consumer's own option does not reach it
        clients.append(made)
        return made

    options = _options(topics) | security(topics, base_folder)
    try:
        consumer = KafkaConsumer(
            client_id=client_id, group_id=topics.group_id if group else None, kafka_client=client, **options
        )
    except Exception as error:
        for each in clients:
            each.close()  # else each attempt would leak a thread
        where = ", ".join(topics.bootstrap_servers)
        raise BrokerUnreachable(f"cannot connect to {where}: {LAST_WORDS.of(client_id) or error}") from error
    LAST_WORDS.forget(client_id)
    return consumer


def _options(topics: Topics) -> dict[str, Any]:
    return {
        "bootstrap_servers": topics.bootstrap_servers,
        "bootstrap_timeout_ms": 4000,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "check_crcs": True,
        "max_poll_records": MOST_RECORDS,
        "fetch_min_bytes": 1,
        # A partition that was just read waits at most this long for the fetch response of the others.
        "fetch_max_wait_ms": 50,
        "fetch_max_bytes": 8 * _MIB,
        "max_partition_fetch_bytes": 2 * _MIB,
        "metadata_max_age_ms": 10_000,
        "request_timeout_ms": 10_000,
        "reconnect_backoff_max_ms": 2000,
        "metrics_enabled": False,
    }
