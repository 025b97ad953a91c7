"""Hints of what changed, as server-sent events (WHATWG HTML, 9.2). A page asks again for what it shows.

While somebody listens, the ends of the store are read once a second, once for all listeners. Each replica reads for
itself, so that a standby serves hints of what the leader wrote.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import orjson
import structlog

from retrainer.sources.http.refusal import not_now
from retrainer.store.base import StoreError
from retrainer.store.changes import Changed, StoreMark, changed_since

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from retrainer.store.base import Store
    from retrainer.store.scope import Scope

log = structlog.get_logger()
INTERVAL = 1.0
"""Seconds between two reads of the store."""
SILENCE = 15.0
"""Seconds after which a comment shows that the stream is alive."""
MOST_WAITING = 100
"""Hints that wait for one listener; one that does not read misses the rest."""
MOST_LISTENERS = 200
"""Streams at the same time; a browser keeps one for all its tabs."""


class Changes:
    """Reads the store for all listeners. Its methods run in the web server's loop, except `close`."""

    def __init__(self, store: Store, role: Callable[[], object]) -> None:
        """``role``: what this replica is, and which one leads. If that changes, all is to be asked for again."""
        self._store, self._role = store, role
        self.listeners: set[asyncio.Queue[Changed | None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def close(self) -> None:
        """End all streams at once, from any thread; new ones are refused."""
        self._closed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._tell, None)

    def admit(self) -> None:
        """Raise Refusal 503 if there are too many streams, or the service stops."""
        if self._closed or len(self.listeners) >= MOST_LISTENERS:
            raise not_now("too many pages listen for changes, or the service stops; ask at intervals", 30)

    async def listen(self, sees: Scope) -> AsyncIterator[bytes]:
        """Yield the text of one stream until the service stops: what the caller may see of the changes."""
        hints: asyncio.Queue[Changed | None] = asyncio.Queue(maxsize=MOST_WAITING)
        self.listeners.add(hints)
        self._loop = asyncio.get_running_loop()
        if self._reader is None:
            self._reader = self._loop.create_task(self._read())
        try:
            yield b"retry: 2000\n\n"
            while not self._closed:
                try:
                    changed = await asyncio.wait_for(hints.get(), SILENCE)
                except TimeoutError:
                    yield b": nothing changed\n\n"
                else:
                    yield _hint(changed, sees) if changed is not None else b""
        finally:
            self.listeners.discard(hints)
            if not self.listeners and self._reader is not None:
                self._reader.cancel()
                self._reader = None

    async def _read(self) -> None:
        mark: StoreMark | None = None
        reachable = True
        role: object = None
        while True:
            try:
                mark, changed = await asyncio.to_thread(self._store.read, partial(changed_since, mark=mark))
                before, role = role, await asyncio.to_thread(self._role)
            except StoreError as error:
                if reachable:
                    log.warning("changes.store_unreachable", error=str(error))
                reachable, mark = False, None
            else:
                changed = changed if reachable and before in (None, role) else Changed(everything=True)
                reachable = True
                if changed:
                    self._tell(changed)
            await asyncio.sleep(INTERVAL)

    def _tell(self, changed: Changed | None) -> None:
        """Wake up all listeners. None: without a change, as the service stops."""
        for hints in self.listeners:
            if not hints.full():
                hints.put_nowait(changed)


def _hint(changed: Changed, sees: Scope) -> bytes:
    """Return the text of one event; empty if the caller may see nothing of it."""
    rules = sees.rules_of(sorted(changed.rules))
    runs = sorted(run for run, rule in changed.runs.items() if sees.has_rule(rule))
    events = changed.events and (bool(rules) or not sees.limited)
    if not (rules or runs or events or changed.everything):
        return b""
    shown = {"rules": rules, "runs": runs, "events": events, "everything": changed.everything}
    return b"event: change\ndata: " + orjson.dumps(shown) + b"\n\n"
