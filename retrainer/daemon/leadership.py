"""The lead among daemons that share a store: taken as soon as nobody has it, kept, given away at the end."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.store.base import StoreBusyError, StoreError
from retrainer.store.leader_lease import LEASE
from retrainer.util.supervision import LONGEST_WAIT, Worker, rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

log = structlog.get_logger()

LOOK_EVERY = 1.0
"""Seconds between two looks of one that stands by."""
RENEW_EVERY = 3.0
"""A third of what the store waits for a word."""
LOST = 75
"""Exit code of a daemon that had the lead and was taken over."""


class Lead:
    """`take` once, then `start` keeps what was taken, or goes on trying: `on_taken` is called when that succeeds.

    `on_lost` is called when another daemon has taken over. The store refuses what is written from then on; what this
    process still does elsewhere ends soonest if the process does.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        url: Callable[[], str],
        on_taken: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.held = False
        """Taken, and not known to be lost."""
        self.trouble = ""
        """Why the store does not answer; empty if it does."""
        self._store, self._clock, self._url, self._on_taken, self._on_lost = store, clock, url, on_taken, on_lost
        self._word_at = 0.0
        self._content = threading.Event()
        self._stop = threading.Event()
        self._keeper = Worker("lead", self._main, lambda: self._stop.is_set() or self._gone)
        self._taking: Worker | None = None
        self._begun = False
        self._gone = False
        """Lost for good: this daemon must not go on."""

    @property
    def sure(self) -> bool:
        """Whether nobody else can have it: after a lease without an answer of the store somebody may."""
        return self.held and (not self._store.shared or self._clock.monotonic() - self._word_at < LEASE)

    def take(self) -> bool:
        """Whether it has the lead from now on. Raise StoreBusyError, or StoreError if it must not go on."""
        asked = self._clock.monotonic()
        if not self.held and self._store.claim():
            self.held, self._word_at = True, asked
        return self.held

    def start(self) -> None:
        if self._store.shared:
            self._keeper.start()

    def settle(self, within: float = LONGEST_WAIT) -> bool:
        """Do not take the lead any more. Once what follows from having taken it is done, say whether that is so.

        What has not been done within so many seconds is left behind.
        """
        self._content.set()
        if self._taking is not None:
            self._taking.join(within)
        return self.held

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Give it away: whoever stands by takes over at once. To a store that does not answer nothing is said."""
        self._stop.set()
        self._keeper.join(within)
        if self.held and not self.trouble and not self._keeper.is_alive():
            try:
                self._store.release()
            except StoreError as error:
                log.warning("leader.not_released", error=str(error))

    def _main(self) -> None:
        while not self._stop.is_set() and self.turn():
            rest(self._stop, RENEW_EVERY if self.held else LOOK_EVERY)

    def turn(self) -> bool:
        """Look once; false if this daemon must not go on."""
        try:
            self._look()
        except StoreBusyError as error:
            self._troubled(str(error))
        except StoreError as error:
            self.held, self._gone = False, True
            self._on_lost(str(error))
            return False
        except Exception:
            log.exception("leader.failed")
        else:
            self.trouble = ""
        return True

    def _look(self) -> None:
        if not self.held and not self._content.is_set() and self.take():
            log.info("leader.taken")
            self._taking = Worker("taking", self._begin, lambda: self._begun or self._content.is_set())
            self._taking.start()
        if self.held:
            asked = self._clock.monotonic()
            self._store.renew(self._url())
            self._word_at = asked

    def _begin(self) -> None:
        try:
            self._on_taken()
        except Exception as error:  # half begun it must not go on, and another daemon may do better
            log.exception("leader.cannot_begin")
            self._on_lost(str(error))
        self._begun = True

    def _troubled(self, message: str) -> None:
        if not self.trouble:
            log.error("store.unreachable", error=message)
        self.trouble = message


def give_up(why: str) -> None:
    """End the process here and now: whatever its threads are about to do is another daemon's by now."""
    log.error("leader.lost", error=why)
    os._exit(LOST)
