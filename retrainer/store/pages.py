"""Pages of rows, by keyset: newest first, or by name. Rows are plain dicts with their JSON decoded.

No read examines more than `SCAN` rows, because the engine waits while it runs. If a filter has no index, a page may
have few rows, or none, and still have a `next`. The same applies to large rows: a page ends with the row that makes it
reach `MOST_BYTES`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select

from retrainer.store.base import GarbledError
from retrainer.store.packing import unpack_some
from retrainer.store.rows import RUN_JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import ColumnElement, Connection, Row, Select

SCAN = 5_000
"""Rows examined per page without an index: 10 ms."""
MOST_BYTES = 4 << 20
"""Bytes of the unpacked texts of a page. In memory they take up to twenty times as much."""
_STREAM = {"stream_results": True, "max_row_buffer": 10}
"""For PostgreSQL, whose client otherwise loads all rows before it returns the first."""
_JSON = frozenset(("data", "attributes", "rules", "state", *RUN_JSON))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows. ``next`` is the cursor of the following page, None at the end."""

    items: list[dict[str, Any]]
    next: Any = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of at most ``limit`` rows. ``cursor`` is `next` of the previous page, None for the first page.

    Only rows from ``since`` on and before ``until``, in epoch seconds, if they are given.
    """

    cursor: Any = None
    limit: int = 50
    since: float | None = None
    until: float | None = None

    @property
    def has_period(self) -> bool:
        return self.since is not None or self.until is not None

    def covers(self, moment: float | None) -> bool:
        """Whether a time is in the period of the page. None, for never, is in a page without one only."""
        if moment is None:
            return not self.has_period
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


FIRST_PAGE = PageRequest()


class Filters(NamedTuple):
    """An index serves the filters ``by`` in the order of the page. The filters ``others`` have no index."""

    by: list[ColumnElement[bool]]
    others: list[ColumnElement[bool]]


def newest(
    conn: Connection, columns: Select[Any], number: ColumnElement[Any], filters: Filters, page: PageRequest
) -> Page:
    """Return rows by descending primary key ``number``. At most `SCAN` rows are examined for filters without index."""
    earlier = [*filters.by, number < page.cursor] if page.cursor is not None else filters.by
    floor = _floor(conn, number, earlier) if filters.others else None
    within = [number >= floor] if floor is not None else []
    query = columns.where(*earlier, *filters.others, *within).order_by(number.desc())
    return page_of(conn, query, page.limit, itemgetter(number.key), floor)


def _floor(conn: Connection, number: ColumnElement[Any], earlier: list[ColumnElement[bool]]) -> Any:
    """Return the key at which a range of `SCAN` rows ends; None if the table ends first."""
    query = select(number).where(*earlier).order_by(number.desc()).offset(SCAN - 1).limit(1)
    return conn.execute(query).scalar()


def page_of(
    conn: Connection, query: Select[Any], limit: int, cursor: Callable[[dict[str, Any]], Any], end: Any = None
) -> Page:
    """Return the first rows of a query. The next page starts after the ``cursor`` of the last row, or at ``end``."""
    rows = PageRows(conn, limit)
    rows.take(query)
    return Page(rows.items, cursor(rows.items[-1]) if rows.full else end)


def within(page: PageRequest, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """Return the filter by the time of a page, for a column with times."""
    return between(column, page.since, page.until)


def between(column: ColumnElement[Any], first: Any, end: Any) -> list[ColumnElement[bool]]:
    """Return the filter for values from ``first`` on and before ``end``; each may be None."""
    return [
        *([column >= first] if first is not None else []),
        *([column < end] if end is not None else []),
    ]


def numbers(
    conn: Connection, number: ColumnElement[Any], at: ColumnElement[Any], page: PageRequest
) -> tuple[int | None, int | None]:
    """Return the primary keys from which on, and before which, are the times of a page. Keys grow with ``at``."""
    since, until = (number_at(conn, number, at, m) if m is not None else None for m in (page.since, page.until))
    return since, until


def number_at(conn: Connection, number: ColumnElement[Any], at: ColumnElement[Any], moment: float) -> int:
    """Return the primary key of the first row at or after ``moment``, by bisection; the last one + 1 if none is."""
    lo, hi = (conn.execute(select(end(number))).scalar() or 0 for end in (func.min, func.max))
    hi += 1
    while lo < hi:
        middle = (lo + hi) // 2
        row = conn.execute(select(number, at).where(number >= middle).order_by(number).limit(1)).first()
        if row is None or row[1] >= moment:
            hi = middle
        else:
            lo = row[0] + 1
    return lo


def equal(wanted: Mapping[Any, Any]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in wanted.items() if value is not None]


class PageRows:
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


def one(conn: Connection, query: Select[Any]) -> dict[str, Any] | None:
    rows = rows_of(conn.execute(query))
    return rows[0] if rows else None


def rows_of(found: Iterable[Row[Any]]) -> list[dict[str, Any]]:
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
