"""Keeps received messages hidden from others until they are stored, then deletes them."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING

import structlog

from retrainer.sources.s3.aws import Unavailable
from retrainer.sources.s3.queue import MOST, Queue
from retrainer.util.counts import many
from retrainer.util.supervision import Worker, beat, clamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from retrainer.util.clock import Clock

BOUND = 100
"""Maximum number of received messages that are not deleted yet."""
COUNT_EVERY = 30.0
PAUSE = 1.0
"""Seconds before a failed call is retried."""
log = structlog.get_logger()


class VisibilityKeeper:
    """A thread that deletes stored messages and hides pending ones again. Other threads report which is which.

    ``trouble``: why messages cannot be deleted, as text. ``depth``: the approximate number of messages in the queue,
    None if not known.
    """

    def __init__(self, name: str, queue: Queue, clock: Clock, visibility: float) -> None:
        self.trouble: str | None = None
        self.depth: int | None = None
        self._name, self._queue, self._clock, self._visibility = name, queue, clock, visibility
        self._hide_at: dict[str, float] = {}
        self._stored: deque[str] = deque()
        self._resting_until = 0.0
        self._count_at = 0.0
        self._end_at: float | None = None
        self._changed = threading.Condition()
        self._thread = Worker(
            "held", self._run, lambda: self._end_at is not None, name=f"source-{name}-held", owner=name
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Return once all stored messages are deleted and none is pending, after `grace` seconds at the latest.

        Remaining messages are received again after their visibility timeout.
        """
        with self._changed:
            self._end_at = self._clock.monotonic() + grace
            self._changed.notify_all()
        self._thread.join(grace)

    def wait_for_room(self, timeout: float) -> bool:
        """Return whether there is room for the messages of one call, waiting up to ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count() + MOST <= BOUND, timeout)

    def take(self, handles: Iterable[str]) -> None:
        """Add messages that were just received."""
        renew_at = self._clock.monotonic() + self._visibility / 2
        with self._changed:
            self._hide_at.update(dict.fromkeys(handles, renew_at))
            self._changed.notify_all()

    def stored(self, handles: Iterable[str]) -> None:
        """Delete messages that are durable."""
        with self._changed:
            for handle in handles:
                if self._hide_at.pop(handle, None) is not None:
                    self._stored.append(handle)
            self._changed.notify_all()

    def let_go(self, handles: Iterable[str]) -> None:
        """Drop messages: they are received again after their visibility timeout."""
        with self._changed:
            for handle in handles:
                self._hide_at.pop(handle, None)
            self._changed.notify_all()

    def _count(self) -> int:
        return len(self._hide_at) + len(self._stored)

    def _run(self) -> None:
        while self._wait():
            beat()
            try:
                self._delete()
                self._hide()
                self.trouble = None
            except Exception as error:  # noqa: BLE001 - whatever it is, stored messages must still be deleted
                words = str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"
                if self.trouble != words:
                    log.warning("sqs.not_settled", source=self._name, error=words)
                self.trouble = words
                self._resting_until = self._clock.monotonic() + PAUSE
            self._look_at_depth()

    def _wait(self) -> bool:
        """Wait for something to do. Return False at the end."""
        with self._changed:
            while True:
                now = self._clock.monotonic()
                if self._end_at is not None and (not self._count() or now >= self._end_at):
                    return False
                due = self._due()
                if due <= now:
                    return True
                ends = [due] if self._end_at is None else [due, self._end_at]
                beat(step := clamp(min(ends) - now))
                self._changed.wait(step)

    def _due(self) -> float:
        """Return when the next action is due, on the monotonic clock."""
        work = 0.0 if self._stored else min(self._hide_at.values(), default=math.inf)
        return min(max(work, self._resting_until), self._count_at)

    def _delete(self) -> None:
        while self._stored:
            handles = self._first(self._stored)
            again = self._queue.delete(handles)
            with self._changed:
                for _ in handles:
                    self._stored.popleft()
                self._stored.extend(again)
                self._changed.notify_all()
            if again:
                raise Unavailable(f"{many(len(again), 'message')} could not be deleted")

    def _hide(self) -> None:
        now = self._clock.monotonic()
        with self._changed:
            due = [handle for handle, at in self._hide_at.items() if at <= now]
        for i in range(0, len(due), MOST):
            handles = due[i : i + MOST]
            self._queue.hide(handles, self._visibility)
            renew_at = self._clock.monotonic() + self._visibility / 2
            with self._changed:
                self._hide_at.update({handle: renew_at for handle in handles if handle in self._hide_at})

    def _look_at_depth(self) -> None:
        now = self._clock.monotonic()
        if now < self._count_at:
            return
        self._count_at = now + COUNT_EVERY
        try:
            self.depth = self._queue.depth()
        except Unavailable as error:  # the permission for this call is optional
            self.depth = None
            log.debug("sqs.not_counted", source=self._name, error=str(error))

    def _first(self, handles: Sequence[str]) -> list[str]:
        with self._changed:
            return [handles[i] for i in range(min(MOST, len(handles)))]
