"""Watch that the store is still the one that was opened, even while it is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from retrainer.store.base import Store

log = structlog.get_logger()


AGAIN = 20
"""Calls of `look` until a failed rescue is retried: the disk may have room by then."""
NOT_YET = "do not restart yet: accepted data is being written"


class StoreWatch:
    """Watches a store. ``trouble`` checks the store at each access, and adds the result of the rescue."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = ""
        self._saved = ""
        self._rest = 0
        """Calls of `look` until the next attempt."""

    @property
    def trouble(self) -> str:
        found = self._store.trouble()
        return f"{found}; {self._saved}" if found and self._saved else found

    def look(self) -> None:
        """Log changes, and save data that would be lost. To be called several times a second."""
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
        """Make a last attempt to save data that would be lost."""
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
            self._saved = f"do not restart yet: {error}; retrying"
        if self._saved != before:
            log.error("store.rescue", outcome=self._saved)
