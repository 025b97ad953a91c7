"""What is recorded outside of the engine's transactions: refusals, and acts that write nothing else.

Equal refusals of an hour are one row with a count, and there are at most `MOST` rows an hour for each token and for all
unknown ones together. So nobody can fill the store or push older rows out of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine.commands.activity import row_of
from retrainer.engine.core.notifications import ActRecorded
from retrainer.telemetry.secrets import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = structlog.get_logger()
HOUR = 3600.0
MOST = 20
"""Rows of one name in an hour; the last is for all further refusals."""
OTHERS = "others"
LONGEST = 500
"""Characters of a detail that are kept."""


class ActivityLog:
    """Thread-safe. ``write`` stores rows, of which some were stored before; ``now`` returns epoch seconds."""

    def __init__(self, write: Callable[[Sequence[dict[str, Any]]], None], now: Callable[[], float]) -> None:
        self._write, self._now = write, now
        self._lock = threading.Lock()
        self._refused: dict[ActRecorded, dict[str, Any]] = {}
        self._unwritten: dict[str, dict[str, Any]] = {}
        """Rows by id."""

    def refused(self, act: ActRecorded, *, logged: bool = False) -> None:
        """Record a refusal. ``logged``: there is a line about it already; else the first of equal ones is logged."""
        act = replace(act, result="refused", detail=SECRETS.mask(act.detail)[:LONGEST])
        with self._lock:
            known, now = self._known(replace(act, detail="")), self._now()
            first = known not in self._refused
            row = row_of(act if known.target != OTHERS else known, now) if first else self._refused[known]
            changed = {"last_at": now, "count": row["count"] + (not first), "detail": act.detail}
            self._refused[known] = self._unwritten[row["id"]] = {**row, **changed}
        if first and not logged:
            log.info("api.refused", **asdict(act))

    def _known(self, act: ActRecorded) -> ActRecorded:
        """Return what a refusal is counted as: itself, or one of the others if there are too many of its name."""
        since = self._now() - HOUR
        self._refused = {known: row for known, row in self._refused.items() if row["at"] > since}
        if act in self._refused or Counter(known.by for known in self._refused)[act.by] < MOST - 1:
            return act
        return ActRecorded("request", act.by, target=OTHERS, result=act.result)

    def done(self, act: ActRecorded) -> None:
        """Record and log an act."""
        log.info("api.act", **asdict(act))
        row = row_of(act, self._now())
        with self._lock:
            self._unwritten[row["id"]] = row

    def flush(self) -> None:
        """Store what is new. Raise StoreError if that is not possible now; it is then kept for the next call."""
        with self._lock:
            rows = list(self._unwritten.values())
        if rows:
            self._write(rows)
        with self._lock:
            for row in rows:
                if self._unwritten.get(row["id"]) is row:
                    del self._unwritten[row["id"]]
