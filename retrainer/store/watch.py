"""Notices that the store is not what was opened any more, also while nobody asks it anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from retrainer.store.base import Store

log = structlog.get_logger()


AGAIN = 20
"""Looks until what could not be written down is tried again: the disk may have room by then."""
NOT_YET = "do not restart yet: what was accepted is being written down"


class StoreWatch:
    """``trouble`` asks the store anew at each look; what became of what was accepted stands behind it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = ""
        self._saved = ""
        self._rest = 0
        """Looks until the next try."""

    @property
    def trouble(self) -> str:
        found = self._store.trouble()
        return f"{found}; {self._saved}" if found and self._saved else found

    def look(self) -> None:
        """Say what changed, and save what would be lost. To be called several times a second."""
        found = self._store.trouble()
        if found != self._known:
            if found:
                log.error("store.broken", error=found)
            else:
                log.warning("store.back")
        self._known = found
        if not self._store.losing:
            return
        if self._rest:
            self._rest -= 1
        else:
            self._save()

    def stop(self) -> None:
        """Save what would be lost, for the last time."""
        if self._store.losing:
            self._rest = 0
            self.look()

    def _save(self) -> None:
        before, self._saved, self._rest = self._saved, NOT_YET, AGAIN
        if not before:
            log.error("store.rescue", outcome=NOT_YET)
        try:
            self._saved = self._store.rescue()
        except StoreError as error:
            self._saved = f"do not restart yet: {error}; it is tried again"
        if self._saved != before:
            log.error("store.rescue", outcome=self._saved)
