"""Paged, bounded reads of the store for API and CLI. Rows are plain dicts with their JSON decoded.

Pages go from the newest to the oldest row, by keyset. No read examines more than `SCAN` rows, because the engine waits
while it runs. If a filter has no index, a page may have few rows, or none, and still have a `next`. The same applies to
large rows: a page ends with the row that makes it reach `MOST_BYTES`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import func, select, tuple_

from retrainer.runs.run import LIVE
from retrainer.store import tables as t
from retrainer.store.base import GarbledError
from retrainer.store.packing import unpack_some
from retrainer.store.rows import RUN_JSON
from retrainer.store.scope import ALL, Scope, among

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import ColumnElement, Connection, Row, Select

_SOURCES, _POSITIONS, _EVENTS, _RUNS = t.sources.c, t.positions.c, t.events.c, t.runs.c
_DECISIONS, _DEAD_LETTERS, _SLOTS, _STATES = t.decisions.c, t.dead_letters.c, t.slots.c, t.states.c
SCAN = 5_000
"""Rows examined per page without an index: 10 ms."""
MOST_BYTES = 4 << 20
"""Bytes of the unpacked texts of a page. In memory they take up to twenty times as much."""
_STREAM = {"stream_results": True, "max_row_buffer": 10}
"""For PostgreSQL, whose client otherwise loads all rows before it returns the first."""
_JSON = frozenset(("data", "attributes", "rules", "state", *RUN_JSON))
# Columns that lists of runs omit: some can be large.
_LONG = frozenset(("submit", "labels", "window", "taken", "lease_until", "submit_attempts", "released"))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows. ``next`` is the cursor of the following page, None at the end."""

    items: list[dict[str, Any]]
    next: Any = None


SHORTEST_ID = 4
"""Minimum characters of the beginning of a run's id."""
ULID_LENGTH = 26


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of at most ``limit`` rows. ``before`` is the cursor of the previous page, None for the first page."""

    before: Any = None
    limit: int = 50


FIRST_PAGE = PageRequest()


@dataclass(frozen=True, slots=True)
class Heard:
    """When a source was first configured, and when it last delivered something (None if never), in epoch seconds."""

    first_seen_at: float
    last_event_at: float | None


def heard(conn: Connection) -> dict[str, Heard]:
    """Return every source that was ever configured, by name."""
    return {
        row.name: Heard(row.first_seen_at, row.last_event_at)
        for row in conn.execute(select(_SOURCES.name, _SOURCES.first_seen_at, _SOURCES.last_event_at))
    }


def silent(max_silence: float | None, heard: Heard | None, now: float) -> bool | None:
    """Whether a source received nothing for longer than `max_silence` seconds; None if it has no such limit.

    Counted from the last event; before the first one, from when the source was first configured.
    """
    if max_silence is None:
        return None
    return heard is not None and now - (heard.last_event_at or heard.first_seen_at) > max_silence


def positions(conn: Connection, source: str) -> list[dict[str, Any]]:
    """Return the position of each partition of a source: `partition`, `next`, `topic_id`, by partition."""
    return _rows(
        conn.execute(
            select(_POSITIONS.partition, _POSITIONS.next, _POSITIONS.topic_id)
            .where(_POSITIONS.source == source)
            .order_by(_POSITIONS.partition)
        )
    )


def runs(
    conn: Connection,
    *,
    rule: str | None = None,
    key: str | None = None,
    phase: str | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List runs by time of creation, newest first, without the columns that only `run` returns. The cursor is an id."""
    columns = select(*(column for column in t.runs.columns if column.name not in _LONG))
    of_rule, in_phase = _equal({_RUNS.rule: rule, _RUNS.key: key}), _equal({_RUNS.phase: phase})
    in_phase += among(_RUNS.namespace, scope.namespaces)
    if phase in LIVE:  # added to use the partial index of live runs, which is small
        of_rule, in_phase = [*of_rule, *in_phase, _RUNS.ended_at.is_(None)], []
    elif rule is None:
        of_rule, in_phase = [], of_rule + in_phase
    return _newest(conn, columns, _RUNS.id, _Filters(of_rule, in_phase), page)


def run(conn: Connection, run_id: str) -> dict[str, Any] | None:
    """Return all columns of a run, or None if there is none with that id."""
    return _one(conn, select(t.runs).where(_RUNS.id == run_id))


def run_id(conn: Connection, given: str, scope: Scope = ALL) -> str:
    """Return the id of a run, given as its id, the beginning of it, or the name of its Workflow.

    Raise LookupError if there is no such run in ``scope``, ValueError if several ids begin so.
    """
    wanted = given.rpartition("-")[2].upper()
    matching = select(_RUNS.id).where(_RUNS.id >= wanted, _RUNS.id <= wanted + "Z" * ULID_LENGTH)
    matching = matching.where(*among(_RUNS.namespace, scope.namespaces))
    found = conn.scalars(matching.order_by(_RUNS.id.desc()).limit(2)).all() if len(wanted) >= SHORTEST_ID else []
    if wanted in found:
        return wanted
    if not found:
        raise LookupError(f"there is no run {given}")
    if len(found) > 1:
        raise ValueError(f"several runs begin with {given}, such as {found[0]} and {found[1]}: give more of the id")
    return str(found[0])


def fed(conn: Connection, run: str) -> dict[str, Any]:
    """Return a run with the window of its inputs. For a manual retry, that is the window of the chain's first attempt.

    Raise LookupError if there is no such run.
    """
    columns = (
        _RUNS.id,
        _RUNS.rule,
        _RUNS.key,
        _RUNS.trigger,
        _RUNS.reason,
        _RUNS.workflow,
        _RUNS.namespace,
        _RUNS.chain,
        _RUNS.created_at,
        _RUNS.window,
    )
    found = _one(conn, select(*columns).where(_RUNS.id == run))
    if found is None:
        raise LookupError(f"there is no run {run}")
    if found["window"] or found["chain"] in ("", run):
        return found
    window = conn.execute(select(_RUNS.window).where(_RUNS.id == found["chain"])).scalar()
    return {**found, "window": orjson.loads(window) if window is not None else {}}


def run_inputs(conn: Connection, run: str, after: int = 0, limit: int = 100) -> Page:
    """List the input events of a run in the order of arrival. The cursor is an event's `seq`.

    Pruned events are not listed. Raise LookupError if there is no such run.
    """
    told = fed(conn, run)
    found = select(_STATES.id).where(_STATES.rule == told["rule"], _STATES.key == told["key"])
    state = conn.execute(found).scalar()
    rows = _Rows(conn, limit)
    for lo, hi in sorted(told["window"].get("ranges", ())):
        if hi > after and not rows.full:
            rows.take(_inputs(state, max(lo, after + 1), hi))
    return Page(rows.items, rows.items[-1]["seq"] if rows.full else None)


def _inputs(state: int | None, lo: int, hi: int) -> Select[Any]:
    joined = select(t.events).join(t.inputs, t.inputs.c.seq == _EVENTS.seq)
    within = joined.where(t.inputs.c.state == state, t.inputs.c.seq.between(lo, hi))
    return within.order_by(t.inputs.c.seq)


def events(
    conn: Connection,
    *,
    source: str | None = None,
    outcome: str | None = None,
    rule: str | None = None,
    key: str | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List accepted events, newest first; with ``rule`` (and ``key``) only those that matched it.

    The cursor is a `seq`.
    """
    wanted = _equal({_EVENTS.source: source, _EVENTS.outcome: outcome}) + among(_EVENTS.source, scope.sources)
    if rule is not None:
        wanted.append(_EVENTS.rules.contains(_pair(rule, key), autoescape=True))
    found = _newest(conn, select(t.events), _EVENTS.seq, _Filters([], wanted), page)
    if key is not None:
        # LIKE ignores case, but keys are case-sensitive.
        return Page([item for item in found.items if [rule, key] in item["rules"]], found.next)
    return found


def _pair(rule: str, key: str | None) -> str:
    """Return a substring of the stored list of rules, e.g. [["churn","de"],["basket",""]]."""
    if key is None:
        return orjson.dumps([rule]).decode()[:-1] + ","
    return orjson.dumps([rule, key]).decode()


def event(conn: Connection, seq: int) -> dict[str, Any] | None:
    """Return an event, or None if there is none with this number (any more)."""
    return _one(conn, select(t.events).where(_EVENTS.seq == seq))


def decisions(
    conn: Connection,
    *,
    rule: str | None = None,
    key: str | None = None,
    decision: str | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List decisions, newest first. Consecutive equal ones are one row with a `count`. The cursor is an id."""
    by, others = _equal({_DECISIONS.rule: rule, _DECISIONS.key: key}), _equal({_DECISIONS.decision: decision})
    others += among(_DECISIONS.rule, scope.rules)
    if rule is None or key is None:
        by, others = [], by + others
    return _newest(conn, select(t.decisions), _DECISIONS.id, _Filters(by, others), page)


def dead_letters(
    conn: Connection,
    *,
    source: str | None = None,
    reason: str | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List dead letters without their payload, newest first. The cursor is an id."""
    columns = select(*(column for column in t.dead_letters.columns if column.name not in ("payload", "size")))
    columns = columns.add_columns(func.coalesce(_DEAD_LETTERS.size, func.length(_DEAD_LETTERS.payload)).label("size"))
    wanted = _equal({_DEAD_LETTERS.source: source, _DEAD_LETTERS.reason: reason})
    wanted += among(_DEAD_LETTERS.source, scope.sources)
    wanted += among(_DEAD_LETTERS.rule, {"", *scope.rules} if scope.rules is not None else None)
    return _newest(conn, columns, _DEAD_LETTERS.id, _Filters([], wanted), page)


def dead_letter(conn: Connection, number: int) -> dict[str, Any] | None:
    """Return a dead letter with its payload (bytes), or None if there is none with this id."""
    return _one(conn, select(t.dead_letters).where(_DEAD_LETTERS.id == number))


def slots(
    conn: Connection,
    rule: str,
    *,
    key: str | None = None,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List schedule slots of a rule, newest first. The cursor is (slot, key, trigger)."""
    query = select(t.slots).where(*_equal({_SLOTS.rule: rule, _SLOTS.key: key}))
    if page.before is not None:
        query = query.where(tuple_(_SLOTS.slot, _SLOTS.key, _SLOTS.trigger) < page.before)
    ordered = query.order_by(_SLOTS.slot.desc(), _SLOTS.key.desc(), _SLOTS.trigger.desc())
    return _page(conn, ordered, page.limit, itemgetter("slot", "key", "trigger"))


def states(conn: Connection, rule: str, after: str | None = None, limit: int = 50) -> Page:
    """List the keys of a rule with their states, by key. The cursor is a key."""
    query = select(t.states).where(_STATES.rule == rule)
    if after is not None:
        query = query.where(_STATES.key > after)
    return _page(conn, query.order_by(_STATES.key), limit, itemgetter("key"))


class _Filters(NamedTuple):
    """An index serves the filters ``by`` in the order of the page. The filters ``others`` have no index."""

    by: list[ColumnElement[bool]]
    others: list[ColumnElement[bool]]


def _newest(
    conn: Connection, columns: Select[Any], number: ColumnElement[Any], filters: _Filters, page: PageRequest
) -> Page:
    """Return rows by descending primary key ``number``. At most `SCAN` rows are examined for filters without index."""
    earlier = [*filters.by, number < page.before] if page.before is not None else filters.by
    floor = _floor(conn, number, earlier) if filters.others else None
    within = [number >= floor] if floor is not None else []
    query = columns.where(*earlier, *filters.others, *within).order_by(number.desc())
    return _page(conn, query, page.limit, itemgetter(number.key), floor)


def _floor(conn: Connection, number: ColumnElement[Any], earlier: list[ColumnElement[bool]]) -> Any:
    """Return the key at which a range of `SCAN` rows ends; None if the table ends first."""
    query = select(number).where(*earlier).order_by(number.desc()).offset(SCAN - 1).limit(1)
    return conn.execute(query).scalar()


def _page(
    conn: Connection, query: Select[Any], limit: int, cursor: Callable[[dict[str, Any]], Any], end: Any = None
) -> Page:
    """Return the first rows of a query. The next page starts after the ``cursor`` of the last row, or at ``end``."""
    rows = _Rows(conn, limit)
    rows.take(query)
    return Page(rows.items, cursor(rows.items[-1]) if rows.full else end)


def _equal(wanted: Mapping[Any, Any]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in wanted.items() if value is not None]


class _Rows:
    """Collects rows of one or more queries. It is ``full`` with ``limit`` rows, or `MOST_BYTES` in total."""

    def __init__(self, conn: Connection, limit: int) -> None:
        self.items: list[dict[str, Any]] = []
        self._conn, self._limit, self._bytes = conn, limit, 0

    @property
    def full(self) -> bool:
        return len(self.items) >= self._limit or self._bytes >= MOST_BYTES

    def take(self, query: Select[Any]) -> None:
        with self._conn.execute(query.limit(self._limit - len(self.items)), execution_options=_STREAM) as found:
            for row in found:
                item, size = _decoded(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented accessor
                self.items.append(item)
                self._bytes += size
                if self.full:
                    return


def _one(conn: Connection, query: Select[Any]) -> dict[str, Any] | None:
    rows = _rows(conn.execute(query))
    return rows[0] if rows else None


def _rows(found: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    return [_decoded(row._mapping)[0] for row in found]  # noqa: SLF001 - SQLAlchemy's documented accessor


def _decoded(row: Mapping[Any, Any]) -> tuple[dict[str, Any], int]:
    """Return the decoded row, and the size of its texts in bytes."""
    item: dict[str, Any] = {}
    size = 0
    for name, value in row.items():
        length = len(value) if isinstance(value, (str, bytes)) else 0
        read, more = _unpacked(str(name), value) if name in _JSON else (value, length)
        item[str(name)] = read
        size += more
    return item, size


def _unpacked(name: str, value: Any) -> tuple[Any, int]:
    try:
        return unpack_some(value, None)
    except (ValueError, TypeError, AttributeError, KeyError, zlib.error) as error:
        raise GarbledError(f"a row's {name} is not JSON") from error
