"""Finds objects whose notification was lost, by comparing listings of the buckets with the store.

An object older than `sweep_settle` that the store does not know, or knows with another etag, is reported. An object
that is gone is forgotten. Objects that a notification reported during the listing are skipped: that is newer.

**Existing objects are not reported.** When a bucket (with its prefix) is first swept, that moment is stored as the
position of a partition named `sweep:bucket/prefix`. Objects last modified before it are stored as known, without an
event: sweeping a full bucket does not retrain every model. So a sweep finds what was lost since it was enabled, also
while the daemon was down, and `retrainer replay` fetches what is older.

The first sweep starts with the daemon, so that notifications lost while it was down are found at once.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

import structlog

from retrainer.sources.base import Batch, SourceContext, object_pages
from retrainer.sources.polling import PollingSource
from retrainer.sources.s3.aws import Unavailable
from retrainer.sources.s3.listing import BucketListing, Listed, distinct
from retrainer.util.supervision import beat

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from retrainer.config.models import Bucket, S3Source
    from retrainer.event import Event

PAGE = 500
"""Events per batch."""
LOOK_AGAIN = 5000
"""Findings that are collected before they are compared with the store again and reported."""
RETRY_AFTER = 60.0
"""Maximum seconds until the next sweep after a failed one."""
log = structlog.get_logger()


class Stopped(Exception):
    """The source is being stopped, and the sweep ends."""


class Sweep(PollingSource):
    """Runs in its own thread. ``found``: number of reported objects. ``last_sweep``: when one ended (epoch seconds).

    When it is stopped, a request in progress is left behind if it takes too long; its objects are not reported.
    """

    _LOG_EVENT = "sweep.trouble"

    def __init__(self, context: SourceContext, config: S3Source, every: float) -> None:
        super().__init__(context, "sweep")
        self.found = 0
        self.last_sweep: float | None = None
        self._config, self._every = config, every

    def _pause(self) -> float:
        return self._every if self._trouble is None else min(self._every, RETRY_AFTER)

    def _poll(self) -> str | None:
        """Sweep each bucket. Return what went wrong, as text."""
        troubles = []
        for bucket in distinct(self._config.buckets):
            try:
                self._sweep(bucket)
            except Stopped:
                return None
            except Unavailable as error:
                troubles.append(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next sweep may succeed
                troubles.append(f"bucket {bucket.name}: {type(error).__name__}: {error}")
        if not troubles:
            self.last_sweep = self._clock.now()
        return "; ".join(troubles) or None

    def _sweep(self, bucket: Bucket) -> None:
        began = self._clock.now()
        since = self._beginning(bucket)
        settled = self._clock.now() - self._config.sweep_settle
        listed = array("q")  # eight bytes per object; there may be millions
        lost: list[Listed] = []
        listing = BucketListing(self._config)
        try:
            for page in listing.pages(bucket):
                self._check()
                listed.extend(hash(found.place) for found in page)
                known = self._intake.objects_told(self.name, [found.place for found in page])
                changed = [found for found in page if _differs(found, known, began)]
                self._take_as_known([found for found in changed if found.modified < since and found.place not in known])
                lost += [found for found in changed if found.modified <= settled and _is_ours(found, since, known)]
                if len(lost) >= LOOK_AGAIN:
                    self._report_lost(listing, lost, began)
                    lost = []
            self._report_lost(listing, lost, began)
        finally:
            listing.close()
        self._forget(f"{bucket.name}/{bucket.prefix}", array("q", sorted(listed)), began)

    def _beginning(self, bucket: Bucket) -> float:
        """Return when the bucket was first swept, in seconds since the epoch."""
        now = int(self._clock.now())
        begun = self._intake.claim(self.name, f"sweep:{bucket.name}/{bucket.prefix}", "", start=now).next
        return now if begun is None else begun

    def _take_as_known(self, objects: Sequence[Listed]) -> None:
        for i in range(0, len(objects), PAGE):
            self._store_all((), {found.place: found.etag for found in objects[i : i + PAGE]})

    def _report_lost(self, listing: BucketListing, lost: Sequence[Listed], began: float) -> None:
        for i in range(0, len(lost), PAGE):
            self._check()
            page = lost[i : i + PAGE]
            current = self._intake.objects_told(self.name, [found.place for found in page])
            events = [listing.event(self.name, found) for found in page if _differs(found, current, began)]
            if events:
                self._store_all(events, {})
                self.found += len(events)
                log.info("sweep.found", source=self.name, objects=len(events), first=events[0].subject)

    def _forget(self, place: str, listed: array[int], began: float) -> None:
        """Forget known objects below a prefix that were not listed; ``listed`` has the sorted hashes of listed ones."""
        for page in object_pages(self._intake, self.name, place):
            self._check()
            gone = [key for key in page if not _is_in(listed, hash(key))]
            stored = self._intake.objects_told(self.name, gone) if gone else {}
            old = [key for key in gone if key in stored and stored[key][1] < began]
            for i in range(0, len(old), PAGE):
                self._store_all((), dict.fromkeys(old[i : i + PAGE]))

    def _store_all(self, events: Sequence[Event], objects: Mapping[str, str | None]) -> None:
        """Return once the batch is stored. Raise why it was not stored, or Stopped."""
        batch = Batch(self.name, events, self._config.identity_window, objects=objects, tracked=True, swept=True)
        if not self._store(batch):
            raise Stopped

    def _check(self) -> None:
        beat()
        if self._stop.is_set():
            raise Stopped


def _differs(found: Listed, known: Mapping[str, tuple[str, float]], began: float) -> bool:
    """Whether the store has another etag, and no notification since ``began``: that would be newer than the listing."""
    etag, notified_at = known.get(found.place, (None, 0.0))
    return etag != found.etag and notified_at < began


def _is_in(numbers: array[int], number: int) -> bool:
    at = bisect_left(numbers, number)
    return at < len(numbers) and numbers[at] == number


def _is_ours(found: Listed, since: float, known: Container[str]) -> bool:
    """Whether the object was written after the first sweep. A known object that differs was changed since."""
    return found.modified >= since or found.place in known
