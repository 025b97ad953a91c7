"""Notifications from an SQS queue. A message is deleted once its events are durable.

After a crash, an expired visibility timeout or a lost delete the message is received again, and recognised as a
duplicate by the identity of its notification. In a FIFO queue SQS holds back a group's next messages until the earlier
ones are deleted, that is, stored.

A receive request is open for up to 20 s and cannot be cancelled. `SqsChannel.stop` does not wait for it: messages that
it still returns are released at once, or after the visibility timeout if the process is gone by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from retrainer.sources.base import Batch, Receipt, SourceContext
from retrainer.sources.formats.notification import NotificationFormat
from retrainer.sources.formats.payload import Delivery
from retrainer.sources.polling import PollingSource
from retrainer.sources.s3.aws import Unavailable
from retrainer.sources.s3.queue import Message, Queue
from retrainer.sources.s3.visibility import VisibilityKeeper

if TYPE_CHECKING:
    from concurrent.futures import Future

    from retrainer.config.models import Queue as QueueConfig
    from retrainer.config.models import S3Source

OPEN_FOR = 25.0
"""Seconds that a receive request may take."""
GRACE = 2.0
"""Seconds that `stop` may take."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two requests while the queue does not answer: doubled from the first value up to the longest."""
log = structlog.get_logger()


class SqsChannel(PollingSource):
    """One thread receives, another (`VisibilityKeeper`) deletes; at most about a hundred messages are in flight."""

    _LOG_EVENT = "sqs.trouble"
    _CALL_LASTS = OPEN_FOR

    def __init__(self, context: SourceContext, config: S3Source, queue: QueueConfig) -> None:
        super().__init__(context)
        self._config = config
        self._format = NotificationFormat(config.key_encoding, frozenset(queue.topic_arns))
        self._queue = Queue(queue)
        self._held = VisibilityKeeper(self.name, self._queue, self._clock, queue.visibility_timeout)

    @property
    def last_error(self) -> str | None:
        return self._trouble or self._held.trouble

    @property
    def lag(self) -> int | None:
        return self._held.depth

    @property
    def lag_is_shared(self) -> bool:
        return True

    def start(self) -> None:
        self._held.start()
        super().start()

    def stop(self) -> None:
        self._stop.set()
        self._held.stop(GRACE)

    def _run(self) -> None:
        super()._run()
        self._queue.close()

    def _pause(self) -> float:
        return min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE) if self._failures else 0.0

    def _in_words(self, error: Exception) -> str | None:
        if self._stop.is_set():
            return None
        return str(error) if isinstance(error, Unavailable) else super()._in_words(error)

    def _poll(self) -> None:
        if not self._held.wait_for_room(GRACE / 4):
            return
        messages = self._queue.receive()
        if not messages:
            self._held.depth = 0  # the long poll found none
            return
        handles = [message.handle for message in messages]
        if self._stop.is_set():
            self._queue.hide(handles, 0)
            return
        self._held.take(handles)
        batch = self._batch(messages)
        if batch.items:
            self._hand_over(batch, handles)
        else:
            self._held.stored(handles)

    def _batch(self, messages: list[Message]) -> Batch:
        items = [item for message in messages for item in self._format.parse(self._delivery(message))]
        return Batch(self.name, items, self._config.identity_window, tracked=self._config.sweep is not None)

    def _delivery(self, message: Message) -> Delivery:
        return Delivery(
            source=self.name,
            body=message.body.encode(errors="surrogatepass"),  # then the parser rejects it with a message
            received_at=self._clock.now(),
            id=f"sqs:{message.id}",
            time=message.sent_at,
        )

    def _hand_over(self, batch: Batch, handles: list[str]) -> None:
        """Offer the batch. While the engine is behind, nothing more is received and these messages stay hidden."""
        future = self._offer(batch)
        if future is not None:
            future.add_done_callback(lambda done: self._settled(done, handles))
            return
        self._held.let_go(handles)
        self._queue.hide(handles, 0)

    def _settled(self, future: Future[Receipt], handles: list[str]) -> None:
        error = future.exception()
        if error is None:
            self._held.stored(handles)
        else:
            log.warning("sqs.not_stored", source=self.name, messages=len(handles), error=str(error))
            self._held.let_go(handles)
