"""Calls to one SQS queue."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.sources.s3.aws import LONG_POLL, in_words, sqs_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient

    from retrainer.config.models import Queue as QueueConfig

MOST = 10
"""Messages per call: the limit of SQS."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. ``handle`` is for deleting it; ``sent_at`` is in seconds since the epoch."""

    id: str
    handle: str
    body: str
    sent_at: float | None


class Queue:
    """Every method raises Unavailable, with a message, if the queue does not answer or refuses."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._url = config.queue_url
        self._visibility = round(config.visibility_timeout)
        self._client: SQSClient | None = None
        self._lock = threading.Lock()

    def receive(self) -> list[Message]:
        """Wait up to LONG_POLL seconds for messages. They are hidden from others for the visibility timeout."""
        client = self._connected()
        with self._words():
            answer = client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MOST,
                WaitTimeSeconds=LONG_POLL,
                VisibilityTimeout=self._visibility,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [_message(found) for found in answer.get("Messages", [])]

    def delete(self, handles: Sequence[str]) -> list[str]:
        """Delete at most MOST messages. Return those to retry."""
        client = self._connected()
        with self._words():
            answer = client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(i), "ReceiptHandle": handle} for i, handle in enumerate(handles)],
            )
        failed = answer.get("Failed", [])
        for entry in failed:
            log.warning("sqs.not_deleted", queue=self._url, error=f"{entry['Code']}: {entry.get('Message', '')}")
        # A sender fault (an expired handle) is permanent; the message is received again, as a duplicate.
        return [handles[int(entry["Id"])] for entry in failed if not entry["SenderFault"]]

    def hide(self, handles: Sequence[str], seconds: float) -> None:
        """Hide at most MOST messages from others for ``seconds`` from now; 0 returns them to the queue.

        A message for which this fails is received again, as a duplicate.
        """
        client = self._connected()
        with self._words():
            answer = client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(i), "ReceiptHandle": handle, "VisibilityTimeout": round(seconds)}
                    for i, handle in enumerate(handles)
                ],
            )
        for entry in answer.get("Failed", []):
            log.warning("sqs.not_hidden", queue=self._url, error=f"{entry['Code']}: {entry.get('Message', '')}")

    def depth(self) -> int:
        """Return the approximate number of waiting messages."""
        client = self._connected()
        with self._words():
            answer = client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _connected(self) -> SQSClient:
        """Return the client. It is created on first use: credentials may appear after the daemon has started."""
        with self._lock:
            if self._client is None:
                self._client = sqs_client(self._config.region, self._config.endpoint_url)
            return self._client

    def _words(self) -> Any:
        return in_words(f"queue {self._url}")


def _message(found: Any) -> Message:
    sent = found.get("Attributes", {}).get("SentTimestamp", "")
    return Message(
        found["MessageId"], found["ReceiptHandle"], found.get("Body", ""), int(sent) / 1000 if sent.isdigit() else None
    )
