"""Leader election between replicas that share a store."""

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
"""Seconds between two attempts of a standby."""
RENEW_EVERY = 3.0
"""Seconds between two renewals: about a third of the store's lease."""
LOST = 75
"""Exit code of a leader that lost the lead to another replica."""


class Lead:
    """Call `take` once. Then `start` renews the lead, or keeps trying to get it and calls `on_taken` on success.

    `on_lost` is called when another daemon has taken over. From then on the store rejects writes of this process. To
    end its other actions as soon as possible, the process exits.
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
        self._confirmed_at = 0.0
        self._settled = threading.Event()
        self._stop = threading.Event()
        self._keeper = Worker("lead", self._main, lambda: self._stop.is_set() or self._gone)
        self._taking: Worker | None = None
        self._begun = False
        self._gone = False
        """Lost for good: this daemon must not continue."""

    @property
    def sure(self) -> bool:
        """Whether no other replica can be the leader. Without an answer of the store for a lease, one may be."""
        return self.held and (not self._store.shared or self._clock.monotonic() - self._confirmed_at < LEASE)

    def take(self) -> bool:
        """Try to get the lead. Return whether it is held. Raise StoreBusyError, or StoreError if it must not go on."""
        began = self._clock.monotonic()
        if not self.held and self._store.claim():
            self.held, self._confirmed_at = True, began
        return self.held

    def start(self) -> None:
        if self._store.shared:
            self._keeper.start()

    def settle(self, within: float = LONGEST_WAIT) -> bool:
        """Stop trying to get the lead. Return whether it is held, once a takeover in progress has ended.

        A takeover that takes longer than ``within`` seconds is left behind.
        """
        self._settled.set()
        if self._taking is not None:
            self._taking.join(within)
        return self.held

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Release the lead: a standby takes over at once. If the store does not answer, the lease expires instead."""
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
        """Check once. Return False if this daemon must not continue."""
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
        if not self.held and not self._settled.is_set() and self.take():
            log.info("leader.taken")
            self._taking = Worker("taking", self._begin, lambda: self._begun or self._settled.is_set())
            self._taking.start()
        if self.held:
            began = self._clock.monotonic()
            self._store.renew(self._url())
            self._confirmed_at = began

    def _begin(self) -> None:
        try:
            self._on_taken()
        except Exception as error:  # a half-done takeover must not continue; another daemon may succeed
            log.exception("leader.cannot_begin")
            self._on_lost(str(error))
        self._begun = True

    def _troubled(self, message: str) -> None:
        if not self.trouble:
            log.error("store.unreachable", error=message)
        self.trouble = message


def give_up(why: str) -> None:
    """Exit the process immediately: what its threads are about to do is up to another daemon now."""
    log.error("leader.lost", error=why)
    os._exit(LOST)
