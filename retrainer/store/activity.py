"""The list of activity: who did what, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from retrainer.store import tables as t
from retrainer.store.pages import FIRST_PAGE, Filters, Page, PageRequest, between, equal, newest
from retrainer.store.queries import first_id
from retrainer.store.scope import ALL, Scope, among

if TYPE_CHECKING:
    from sqlalchemy import Connection

_C = t.activity.c


@dataclass(frozen=True, slots=True)
class ActivityQuery:
    """``reader`` is the name of the caller who asks.

    A limited ``scope`` shows what concerns its namespaces, and what the reader did.
    """

    rule: str | None = None
    by: str | None = None
    act: str | None = None
    result: str | None = None
    scope: Scope = ALL
    reader: str = ""


def activity(conn: Connection, query: ActivityQuery, page: PageRequest = FIRST_PAGE) -> Page:
    """List acts, refusals and edits, newest first. The cursor is an id."""
    by, others = equal({_C.rule: query.rule}), equal({_C.by: query.by})
    if query.rule is None:
        by, others = others, []
    others += equal({_C.act: query.act, _C.result: query.result})
    if query.scope.limited:
        others.append(or_(*among(_C.namespace, query.scope.namespaces), _C.by == query.reader))
    by += between(_C.id, *(first_id(moment) for moment in (page.since, page.until)))
    return newest(conn, select(t.activity), _C.id, Filters(by, others), page)
