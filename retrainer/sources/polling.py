"""The loop of a source that polls: wait, back off, report trouble once, and store batches."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, ClassVar

import structlog

from retrainer.sources.base import Batch, Overloaded, Receipt, SourceContext
from retrainer.util.supervision import Worker, beat, rest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.util.failpoints import Kind

log = structlog.get_logger()


class PollingSource:
    """A `Source` with one thread, which calls `_poll` until it is stopped.

    A kind of source implements `_poll` and `_pause`. ``_LOG_EVENT`` is logged when there is a new problem, with
    ``_log_fields``. ``_GRACE``: seconds that `stop` waits for the thread. ``_CALL_LASTS``: seconds that a call in
    `_poll` may take without a sign of life. ``polls`` counts polls that have ended.
    """

    _LOG_EVENT: ClassVar[str]
    _GRACE: ClassVar[float] = 2.0
    _CALL_LASTS: ClassVar[float] = 0.0

    def __init__(self, context: SourceContext, kind: Kind = "source") -> None:
        self.name = context.name
        self.polls = self.poll_errors = 0
        self._trouble: str | None = None
        self._failures = 0
        """Failed polls in a row."""
        self._intake, self._clock = context.intake, context.clock
        self._log_fields: dict[str, object] = {"source": self.name}
        self._stop = threading.Event()
        thread = f"source-{self.name}" if kind == "source" else f"source-{self.name}-{kind}"
        self._thread = Worker(kind, self._run, self._stop.is_set, name=thread, owner=self.name)

    @property
    def last_error(self) -> str | None:
        return self._trouble

    @property
    def lag(self) -> int | None:
        return None

    @property
    def lag_is_shared(self) -> bool:
        return False

    @property
    def halted(self) -> Mapping[str, str]:
        return {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._GRACE)

    def _poll(self) -> str | None:
        """Poll once. Return what is wrong, as text; anything it raises counts as a problem, too."""
        raise NotImplementedError

    def _pause(self) -> float:
        """Return the seconds until the next poll."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stop.is_set():
            beat(self._CALL_LASTS)
            self._turn()
            rest(self._stop, self._pause())

    def _turn(self) -> None:
        try:
            trouble = self._poll()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next poll may succeed
            trouble = self._in_words(error)
        self.polls += 1
        self._failures = 0 if trouble is None else self._failures + 1
        self.poll_errors += trouble is not None
        self._show_trouble(trouble)

    def _in_words(self, error: Exception) -> str | None:
        """Return an error as text; None if it is no problem."""
        return f"{type(error).__name__}: {error}"

    def _show_trouble(self, trouble: str | None) -> None:
        """Show the current problem, and log it if it is a new one."""
        if trouble is not None and trouble != self._trouble:
            log.warning(self._LOG_EVENT, **self._log_fields, error=trouble)
        self._trouble = trouble

    def _offer(self, batch: Batch) -> Future[Receipt] | None:
        """Queue a batch, waiting while the engine is behind. Return None if the source is stopped first."""
        while not self._stop.is_set():
            try:
                return self._intake.offer(batch)
            except Overloaded as error:
                rest(self._stop, error.retry_after)
        return None

    def _store(self, batch: Batch, grace: float = 0.0) -> bool:
        """Return whether the batch is stored; false if that is not known ``grace`` seconds after a stop.

        Raise the error if it could not be stored.
        """
        future = self._offer(batch)
        if future is None:
            return False
        while not future.done() and not self._stop.is_set():
            beat()
            wait((future,), timeout=0.2)
        wait((future,), timeout=grace)
        if not future.done():
            return False
        future.result()
        return True
