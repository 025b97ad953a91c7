"""Files in a folder, reported as S3-shaped events: the embedded substitute for a bucket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from retrainer.event import Event
from retrainer.sources.base import Batch, SourceContext, object_pages
from retrainer.sources.files.lines import AT_ONCE, Count, StoppedError, count_on, has_rows, rows
from retrainer.sources.files.listing import DirectoryListing, File, Scope, ignorer, list_folder, safe, shown
from retrainer.sources.formats.payload import FUTURE, event_id
from retrainer.sources.polling import PollingSource
from retrainer.util.supervision import beat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.config.models import DirectorySource as DirectoryConfig

EVENT_TYPE = "s3:ObjectCreated:Put"
BATCH_SIZE = 500
SHORTEST_INTERVAL = 0.05
BREATH = 4.0  # minimum pause, as a multiple of the listing time, so that a huge folder does not keep a core busy
GRACE = 2.0
"""Seconds for batches in flight to be stored when the source is stopped."""
MOST_LOGGED = 10_000
"""Passed-over files that are remembered as logged; beyond that they may be logged again."""
T = TypeVar("T")
log = structlog.get_logger()


class DirectorySource(PollingSource):
    """Lists the folder periodically, and reports files that are not stored as reported and no longer being written."""

    _LOG_EVENT = "directory.trouble"
    _GRACE = 5.0  # for a file system that does not answer

    def __init__(self, context: SourceContext, config: DirectoryConfig) -> None:
        super().__init__(context)
        self._config = config
        folder = context.base_folder / config.path
        self._folder = os.path.abspath(folder)  # noqa: PTH100 - resolve() would follow symlinks
        self._log_fields["folder"] = safe(self._folder)
        self._bucket = config.bucket or Path(self._folder).name
        self._scope = Scope(self._folder, ignorer(config.ignore), config.links == "anywhere", self._stopped)
        self._logged: set[str] = set()
        self._counts: dict[str, Count] = {}
        """Files whose rows are partly counted."""
        self._listing_took = 0.0
        self._known: dict[str, str] | None = None
        self._unsettled: dict[str, tuple[str, float]] = {}

    def stop(self) -> None:
        super().stop()
        if self._thread.is_alive():
            log.warning("directory.stuck", **self._log_fields)

    def _stopped(self) -> bool:
        """Called at each entry and each chunk of a file, so that a long listing does not count as a hang."""
        beat()
        return self._stop.is_set()

    def _pause(self) -> float:
        return max(self._config.polling_interval, SHORTEST_INTERVAL, BREATH * self._listing_took)

    def _poll(self) -> str | None:
        """Process one listing. Return what could not be read, as text."""
        known = self._read_known() if self._known is None else self._known
        self._known = None  # read again after an error: it is not known what was stored
        began = self._clock.monotonic()
        listing = list_folder(self._scope, known)
        self._listing_took = self._clock.monotonic() - began
        self._log_passed_over(listing)
        gone = [key for key in listing.missing if listing.knows(key)]
        for keys in _chunks(gone):
            self._hand_over(known, (), dict.fromkeys(keys))
        self._counts = {key: count for key, count in self._counts.items() if key in listing.changed}
        for files in _batches(self._settled(listing), counted=self._config.rows is not None):
            events = self._events(files, listing)
            self._hand_over(known, list(events.values()), {key: listing.changed[key].fingerprint for key in events})
        self._known = known
        return None if self._stop.is_set() else _summary(listing.unreadable)

    def _read_known(self) -> dict[str, str]:
        pages = object_pages(self._intake, self.name)
        return {key: fingerprint for page in pages for key, fingerprint in page.items()}

    def _log_passed_over(self, listing: DirectoryListing) -> None:
        """Log once for each file that it is passed over."""
        new = {key: why for key, why in listing.odd.items() if key not in self._logged}
        if not new:
            return
        if len(self._logged) + len(new) > MOST_LOGGED:
            self._logged.clear()
        self._logged |= new.keys()
        things = [f"{shown(key)}: {why}" for key, why in sorted(new.items())[:3]]
        log.warning("directory.passed_over", source=self.name, count=len(new), things="; ".join(things))

    def _settled(self, listing: DirectoryListing) -> list[File]:
        """Files to report, oldest first: those that this process has seen unchanged for `settle` seconds."""
        now = self._clock.monotonic()
        changed = list(listing.changed.values())
        before = self._unsettled
        self._unsettled = {f.key: (f.fingerprint, _since(before.get(f.key), f, now)) for f in changed}
        settled = [file for file in changed if now - self._unsettled[file.key][1] >= self._config.settle]
        return sorted(settled, key=lambda file: (file.mtime_ns, file.key))

    def _events(self, files: Sequence[File], listing: DirectoryListing) -> dict[str, Event]:
        """Return events by key. A file that cannot be read or still changes is left to a later poll."""
        events: dict[str, Event] = {}
        for file in files:
            if self._stop.is_set():
                break
            try:
                events[file.key] = self._event(file)
            except (FileNotFoundError, _UnfinishedError):
                continue
            except StoppedError:
                break
            except OSError as error:
                listing.failed(file.key, f"{shown(file.key)}: {error.strerror or error}")
        return events

    def _event(self, file: File) -> Event:
        counted = self._rows(file)
        now = self._clock.now()
        data = {
            "bucket": self._bucket,
            "key": file.key,
            "size": file.size,
            "etag": file.fingerprint,
            "version": "",
            "sequencer": "",
            "region": "",
            "path": safe(file.path(self._folder)),
            **({"rows": counted} if counted is not None else {}),
        }
        # Any writer can set a file's time. An impossible one is replaced by the current time.
        time = file.mtime if 0 <= file.mtime <= now + FUTURE else now
        identity = event_id(f"{file.key} {file.fingerprint}")
        return Event(source=self.name, id=identity, type=EVENT_TYPE, time=time, data=data, subject=file.key)

    def _rows(self, file: File) -> int | None:
        """Return the row count, None if rows are not counted.

        Raise FileNotFoundError if the file changed while it was counted, _UnfinishedError if it takes further polls.
        """
        if self._config.rows != "lines" or not has_rows(file.key):
            return None
        count = self._counts.pop(file.key, None)
        if count is None or count.of != file.fingerprint:
            count = Count(file.fingerprint)
        with file.open(self._folder) as opened:
            whole = count_on(count, opened, file.size, self._stopped)
            if not file.is_in(opened):
                raise FileNotFoundError(file.name)
        if not whole:
            self._counts[file.key] = count
            raise _UnfinishedError
        return rows(count, file.key)

    def _hand_over(self, known: dict[str, str], events: Sequence[Event], objects: Mapping[str, str | None]) -> None:
        """Return once the batch is stored, and only then remember its objects. Raise why it was not stored."""
        if not objects or not self._store(Batch(self.name, events, objects=objects), GRACE):
            return
        for key, fingerprint in objects.items():
            if fingerprint is None:
                known.pop(key, None)
            else:
                known[key] = fingerprint


class _UnfinishedError(Exception):
    """A huge file is counted further in the next poll."""


def _batches(files: Sequence[File], *, counted: bool) -> list[list[File]]:
    """Split files into batches, limited in number and, if `counted`, in bytes. Huge files come last."""
    size = {file.key: file.size if counted and has_rows(file.key) else 0 for file in files}
    batches: list[list[File]] = [[]]
    there = 0
    for file in sorted(files, key=lambda file: size[file.key] > AT_ONCE):
        there += size[file.key]
        if batches[-1] and (len(batches[-1]) >= BATCH_SIZE or there > AT_ONCE):
            batches.append([])
            there = size[file.key]
        batches[-1].append(file)
    return batches


def _summary(unreadable: Mapping[str, str]) -> str | None:
    """Name the first three by key, so that the text is stable; None if there are none."""
    first = [unreadable[key] for key in sorted(unreadable)[:3]]
    more = [f"{len(unreadable) - 3} more"] if len(unreadable) > 3 else []
    return "; ".join([*first, *more]) or None


def _since(before: tuple[str, float] | None, file: File, now: float) -> float:
    return before[1] if before is not None and before[0] == file.fingerprint else now


def _chunks(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[i : i + BATCH_SIZE] for i in range(0, len(items), BATCH_SIZE)]
