"""History for a simulation: events of a ledger or a file, other inputs of the journal, and recorded runs."""

from __future__ import annotations

import heapq
import re
import sqlite3
import zlib
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import orjson

from retrainer.engine.intake.samples import QUERY
from retrainer.event import Event, split_attributes
from retrainer.simulate.casefile import absolute
from retrainer.store.packing import unpack
from retrainer.store.sqlite_file import in_use
from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

EVENT = ("seq", "at", "source", "id", "type", "time", "subject", "data", "attributes")
EventRow = tuple[int, float, str, str, str, float, str, str, str]
"""The columns `EVENT` of a row of the table `events`."""
_JOURNAL = ("seq", "at", "rule", "key", "kind", "payload")
_KEPT = frozenset(("journal", "runs", "decisions", "config_files"))
SQLITE = b"SQLite format 3\x00"
_SOURCE = re.compile(rb'"source"\s*:\s*"([^"\\]{1,100})"')
_INSTEAD = "stop it first, or use a copy: a snapshot, a backup (docs/how-to/operations/backup.md), or an export of one"
_LATEST = 4102444800.0
"""The year 2100 in epoch seconds. Milliseconds of any day since February 1970 are larger."""
MOST_BYTES = 256 << 20
"""Maximum bytes of one line: far more than any source accepts."""


class BadHistory(Exception):
    """The history cannot be read. The message names the file and line, and how to fix it."""


class HistoryRecord(NamedTuple):
    """One input at a time (epoch seconds): an event, or a journal entry with ``kind`` and ``payload``."""

    at: float
    event: Event | None
    kind: str = ""
    rule: str = ""
    key: str = ""
    payload: Mapping[str, Any] = {}
    poll: tuple[Any, int] | None = None
    """The `Followed` metric and the number of a poll, if its polls are followed by rule."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded run. Times are epoch seconds. ``order`` sorts runs that were created at the same time."""

    id: str
    rule: str
    key: str
    phase: str
    created_at: float
    order: int
    revision: str = ""
    attempt: int = 1
    retry_of: str | None = None
    admitted_at: float | None = None
    submitted_at: float | None = None
    ended_at: float | None = None
    uid: str | None = None
    message: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """A history. Each call of ``records`` starts from the beginning, in order of time.

    ``files``: the rule files that were in force, if known. ``span``: times of the first and the last record, None
    without records. ``polled``: the recorded queries, by source and expression. ``sources``: the sources of its events.
    ``plain``: the events were written manually, so that a source may be misspelled.
    """

    records: Callable[[], Iterator[HistoryRecord]]
    runs: tuple[Recorded, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    span: tuple[float, float] | None = None
    polled: frozenset[tuple[str, str]] = frozenset()
    sources: frozenset[str] = frozenset()
    plain: bool = False


def open_history(path: str) -> History:
    """Read a store, an export of a store, or a file with one event per line. Raise BadHistory."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(len(SQLITE))
    except OSError as error:
        raise BadHistory(f"{path}: {error.strerror}") from None
    try:
        if in_use(Path(path)):
            raise BadHistory(f"{path}: it is open in a running daemon; {_INSTEAD}")
        return _of_store(path) if head == SQLITE else _of_lines(path)
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise BadHistory(f"{path}: {_words(error)}; restore it from a backup, or export it again") from None


def _of_store(path: str) -> History:
    def rows(table: str, columns: str, order: str) -> Iterator[dict[str, Any]]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            for row in connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}"):  # noqa: S608 - constants
                yield dict(row)

    def records() -> Iterator[HistoryRecord]:
        events = (
            _numbered(path, row["seq"], {"table": "events", "row": row})
            for row in rows("events", ", ".join(EVENT), "seq")
        )
        return _merged(events, rows("journal", ", ".join(_JOURNAL), "seq"))

    try:
        runs = _runs(rows("runs", "*", "id"), rows("decisions", "id, run", "id"))
        files = {row["path"]: row["content"] for row in rows("config_files", "path, content", "path")}
        first, last, polled, sources = _known_of(path)
    except sqlite3.DatabaseError as error:
        raise BadHistory(f"{path}: {error}; restore it from a backup") from None
    return History(records, runs, files, (first, last) if first is not None else None, polled, sources)


def _known_of(path: str) -> tuple[Any, Any, frozenset[tuple[str, str]], frozenset[str]]:
    """Return the times of the first and last record of a store, the polled queries, and the sources of its events."""
    moments = "SELECT min(at), max(at) FROM (SELECT at FROM events UNION ALL SELECT at FROM journal)"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        first, last = connection.execute(moments).fetchone()
        polled = connection.execute("SELECT DISTINCT source, subject FROM events WHERE type = ?", (QUERY,))
        sources = connection.execute("SELECT DISTINCT source FROM events")
        return first, last, frozenset(tuple(row) for row in polled), frozenset(row[0] for row in sources)


def _of_lines(path: str) -> History:
    kept: dict[str, list[dict[str, Any]]] = defaultdict(list)
    polled: set[tuple[str, str]] = set()
    named: set[bytes] = set()
    plain = True
    first = last = None
    for number, line in _lines(path, lambda lines: _telling(_naming(lines, named))):
        table = line.get("table")
        if table in _KEPT:
            kept[table].append(line["row"])
        plain = plain and table is None
        if table not in (None, "events"):
            continue
        _, record = _numbered(path, number, line)
        first, last = record.at if first is None else first, record.at
        if record.event is not None and record.event.type == QUERY:
            polled.add((record.event.source, record.event.subject))

    def records() -> Iterator[HistoryRecord]:
        return _merged(_in_order(path), sorted(kept["journal"], key=itemgetter("seq")))

    files = {row["path"]: row["content"] for row in kept["config_files"]}
    moments = [at for at in (first, last, *(row["at"] for row in kept["journal"])) if at is not None]
    span = (min(moments), max(moments)) if moments else None
    sources = frozenset(name.decode(errors="replace") for name in named)
    return History(records, _runs(kept["runs"], kept["decisions"]), files, span, frozenset(polled), sources, plain)


def _lines(
    path: str, choose: Callable[[Iterable[tuple[int, bytes]]], Iterable[tuple[int, bytes]]] = iter
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the parsed lines that ``choose`` passes, with their numbers."""
    with Path(path).open("rb") as file:
        for number, text in choose(enumerate(_bounded(path, file), 1)):
            if not text.strip():
                continue
            try:
                line = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise BadHistory(f"{path}:{number}: not JSON: {error}") from None
            if not isinstance(line, dict):
                raise BadHistory(f"{path}:{number}: not a JSON object: write one event per line")
            yield number, line


def _bounded(path: str, file: BinaryIO) -> Iterator[bytes]:
    """Yield lines. Raise BadHistory for a line that is too long, e.g. of a device."""
    number = 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            raise BadHistory(f"{path}:{number}: a line of more than {MOST_BYTES >> 20} MiB: write one event per line")
        yield line


def _naming(lines: Iterable[tuple[int, bytes]], named: set[bytes]) -> Iterator[tuple[int, bytes]]:
    """Pass lines on, and add the first source in each to ``named``. This is cheaper than parsing the line."""
    for number, text in lines:
        found = _SOURCE.search(text)
        if found is not None:
            named.add(found[1])
        yield number, text


def _telling(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield the first and the last line, and those that may be more than a plain event."""
    query, last, told = QUERY.encode(), None, True
    for number, text in lines:
        if text.isspace():
            continue
        told = last is None or b'"table"' in text or query in text
        last = number, text
        if told:
            yield last
    if last is not None and not told:
        yield last


def _in_order(path: str) -> Iterator[tuple[int, HistoryRecord]]:
    """Yield events with their `seq`; for a plain file, with the line number."""
    before = float("-inf")
    for number, line in _lines(path):
        if line.get("table") not in (None, "events"):
            continue
        seq, record = _numbered(path, number, line)
        if record.at < before:
            raise BadHistory(f"{path}:{number}: earlier than the line before it; sort the file by time")
        before = record.at
        yield seq, record


def _numbered(path: str, number: int, line: dict[str, Any]) -> tuple[int, HistoryRecord]:
    try:
        return (line["row"]["seq"], _event(line["row"])) if "table" in line else (number, _plain(line, number))
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise BadHistory(f"{path}:{number}: {_words(error)}; an event has source, type, time and data") from None


def _words(error: Exception) -> str:
    return f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else f"{error!s:.200}"


def _plain(line: Mapping[str, Any], number: int) -> HistoryRecord:
    """Return the record of a plain event. Its time of arrival is ``at``, by default its ``time``."""
    time = _moment(line["time"])
    at = _moment(line["at"]) if "at" in line else time
    data, source = line.get("data") or {}, line["source"]
    if not isinstance(source, str) or not source:
        raise ValueError(f"`source` is {values.kind(source)}, not the name of a source")
    if not isinstance(data, dict):
        raise ValueError(f"`data` is {values.kind(data)}, not a map")  # noqa: TRY004 - callers know one kind
    shown = line.get("attributes") or {}
    if not isinstance(shown, dict):
        raise ValueError(f"`attributes` is {values.kind(shown)}, not a map")  # noqa: TRY004 - likewise
    own_id = str(line.get("id", f"line-{number}"))
    kind, subject = str(line.get("type", "event")), str(line.get("subject", ""))
    attributes, record = split_attributes(shown)
    return HistoryRecord(at, Event(source, own_id, kind, time, data, subject, attributes, record=record))


def _moment(value: Any) -> float:
    """Return epoch seconds from a number of seconds, or from a time with its zone. Raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"a time is {values.kind(value)}; write seconds since 1970, or RFC 3339")  # noqa: TRY004
    return _within_calendar(float(value) if isinstance(value, (int, float)) else absolute(value))


def _within_calendar(at: float) -> float:
    """Return ``at``. Raise ValueError if it is out of range, probably because it is in another unit."""
    if not at >= 0:
        raise ValueError(f"time {at:.17g} is before 1970")
    if at > _LATEST:
        raise ValueError(f"time {at:.17g} is after the year 2100; are these milliseconds? seconds are expected")
    return at


def _event(row: Mapping[str, Any]) -> HistoryRecord:
    for at in (row["at"], row["time"]):
        _within_calendar(at)
    return _record((row["seq"], *(row[name] for name in EVENT[1:])))


def _merged(
    events: Iterable[tuple[int, HistoryRecord]], journal: Iterable[Mapping[str, Any]]
) -> Iterator[HistoryRecord]:
    """Return events and entries of the journal in the order of their `seq`."""
    inputs = (
        (row["seq"], HistoryRecord(row["at"], None, row["kind"], row["rule"], row["key"], orjson.loads(row["payload"])))
        for row in journal
    )
    return (record for _, record in heapq.merge(events, inputs, key=itemgetter(0)))


def from_rows(events: Iterable[EventRow], journal: Iterable[Mapping[str, Any]]) -> Iterator[HistoryRecord]:
    """Return the records of rows of the tables `events` and `journal`, both in the order of their `seq`."""
    return _merged(((row[0], _record(row)) for row in events), journal)


def _record(row: EventRow) -> HistoryRecord:
    _, at, source, own_id, kind, time, subject, data, shown = row
    attributes, record = split_attributes(orjson.loads(shown)) if shown != "{}" else ({}, {})
    return HistoryRecord(at, Event(source, own_id, kind, time, unpack(data), subject, attributes, record=record))


def recorded_runs(rows: Iterable[Mapping[str, Any]]) -> tuple[Recorded, ...]:
    """Return the recorded runs of rows of the table `runs`, in the order of their ids."""
    return _runs(rows, ())


def _runs(rows: Iterable[Mapping[str, Any]], decisions: Iterable[Mapping[str, Any]]) -> tuple[Recorded, ...]:
    order = {row["run"]: row["id"] for row in decisions if row["run"]}
    names = [name for name in Recorded.__slots__ if name not in ("order", "outputs", "resources")]
    found = [
        Recorded(
            **{name: row[name] for name in names},
            order=order.get(row["id"], 2**63),
            outputs=orjson.loads(row["outputs"]),
            resources=orjson.loads(row["resources"]),
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda run: (run.created_at, run.order)))
