"""The calls on one SQS queue."""

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
"""Messages of one call; SQS allows no more."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """As it was received. ``handle`` is what it is deleted by; ``sent_at`` is in seconds since the epoch."""

    id: str
    handle: str
    body: str
    sent_at: float | None


class Queue:
    """Every method raises Unavailable, in words, if the queue does not answer or does not want to."""

    def __init__(self, config: QueueConfig) -> None:
        self._config = config
        self._url = config.queue_url
        self._visibility = round(config.visibility_timeout)
        self._client: SQSClient | None = None
        self._lock = threading.Lock()

    def receive(self) -> list[Message]:
        """Wait for messages, up to LONG_POLL seconds; the others do not see them for the visibility timeout."""
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
        """Delete at most MOST messages; return those that must be tried again."""
        client = self._connected()
        with self._words():
            answer = client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(i), "ReceiptHandle": handle} for i, handle in enumerate(handles)],
            )
        failed = answer.get("Failed", [])
        for entry in failed:
            log.warning("sqs.not_deleted", queue=self._url, error=f"{entry['Code']}: {entry.get('Message', '')}")
        # What the queue calls our fault (a handle past its time) stays wrong; the message comes again as a repeat.
        return [handles[int(entry["Id"])] for entry in failed if not entry["SenderFault"]]

    def hide(self, handles: Sequence[str], seconds: float) -> None:
        """Keep at most MOST messages from the others for so long from now; 0 gives them back.

        A message for which that fails comes again, and is a repeat by then.
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
        """About how many messages wait."""
        client = self._connected()
        with self._words():
            answer = client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _connected(self) -> SQSClient:
        """Made when it is first needed: credentials may come later than the daemon."""
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
