"""Notifications from an SQS queue. A message is deleted once its events are durable.

After a crash, an expired visibility timeout or a lost delete the message is received again, and recognised as a
duplicate by the identity of its notification. In a FIFO queue SQS holds back a group's next messages until the earlier
ones are deleted, that is, stored.

A receive request is open for up to 20 s and cannot be cancelled. `SqsChannel.stop` does not wait for it: messages that
it still returns are released at once, or after the visibility timeout if the process is gone by then.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.sources.base import Batch, Overloaded
from retrainer.sources.formats.notification import NotificationFormat
from retrainer.sources.formats.payload import Delivery
from retrainer.sources.s3.aws import Unavailable
from retrainer.sources.s3.queue import Queue
from retrainer.sources.s3.visibility import VisibilityKeeper
from retrainer.util.supervision import Worker, beat, rest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from retrainer.config.models import Queue as QueueConfig
    from retrainer.config.models import S3Source
    from retrainer.sources.base import Intake, Receipt
    from retrainer.sources.s3.queue import Message
    from retrainer.util.clock import Clock

OPEN_FOR = 25.0
"""Seconds that a receive request may take."""
GRACE = 2.0
"""Seconds that `stop` may take."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two requests while the queue does not answer: doubled from the first value up to the longest."""
log = structlog.get_logger()


class SqsChannel:
    """One thread receives, another (`VisibilityKeeper`) deletes; at most about a hundred messages are in flight."""

    def __init__(self, name: str, config: S3Source, queue: QueueConfig, intake: Intake, clock: Clock) -> None:
        self.name = name
        self.poll_errors = 0
        self.halted: Mapping[str, str] = {}
        self._config, self._intake, self._clock = config, intake, clock
        self._format = NotificationFormat(config.key_encoding, frozenset(queue.topic_arns))
        self._queue = Queue(queue)
        self._held = VisibilityKeeper(name, self._queue, clock, queue.visibility_timeout)
        self._trouble: str | None = None
        self._stop = threading.Event()
        self._thread = Worker("source", self._run, self._stop.is_set, name=f"source-{name}", owner=name)

    @property
    def last_error(self) -> str | None:
        return self._trouble or self._held.trouble

    @property
    def lag(self) -> int | None:
        return self._held.depth

    def start(self) -> None:
        self._held.start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._held.stop(GRACE)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            beat(OPEN_FOR)
            try:
                self._step()
                self._trouble, pause = None, FIRST_PAUSE
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue may recover
                if self._stop.is_set():
                    break
                self._failed(str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}")
                rest(self._stop, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._queue.close()

    def _failed(self, words: str) -> None:
        self.poll_errors += 1
        if words != self._trouble:
            log.warning("sqs.trouble", source=self.name, error=words)
        self._trouble = words

    def _step(self) -> None:
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
            self._offer(batch, handles)
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

    def _offer(self, batch: Batch, handles: list[str]) -> None:
        """Offer the batch. While the engine is behind, nothing more is received and these messages stay hidden."""
        while not self._stop.is_set():
            try:
                future = self._intake.offer(batch)
            except Overloaded as error:
                rest(self._stop, error.retry_after)
                continue
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
