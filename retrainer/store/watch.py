"""Notices that the store is not what was opened any more, also while nobody asks it anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from retrainer.store.base import Store

log = structlog.get_logger()


class StoreWatch:
    """``trouble`` asks the store anew at each look; what was saved stands behind it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = ""
        self._saved = ""

    @property
    def trouble(self) -> str:
        found = self._store.trouble()
        return f"{found}; {self._saved}" if found and self._saved else found

    def look(self) -> None:
        """Say what changed, and save what would be lost. To be called several times a second."""
        found = self._store.trouble()
        if found and not self._saved:
            self._saved = self._store.rescue()
            if self._saved:
                log.error("store.rescue", outcome=self._saved)
        if found != self._known:
            if found:
                log.error("store.broken", error=found)
            else:
                log.warning("store.back")
        self._known = found
