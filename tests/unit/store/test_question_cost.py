"""The cost of API queries does not depend on the amount of data: the engine waits while a read runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from retrainer.store import pages as pages_module
from retrainer.store import queries, related, run_statements
from retrainer.store import tables as t
from retrainer.store.pages import PageRequest
from retrainer.store.scope import ALL
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

MANY = 6000
RUN = {
    **dict.fromkeys(("workflow", "namespace", "trigger", "reason", "revision", "message", "progress"), ""),
    **dict.fromkeys(("submit", "parameters", "labels", "window", "taken", "outputs", "resources"), "{}"),
    "attempt": 1,
    "priority": 0,
    "created_at": 0.0,
    "not_before": 0.0,
    "submit_attempts": 1,
    "released": True,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path_factory.mktemp("much") / "store.db")
    with opened.write() as conn:
        for n in range(MANY):
            where = {"rule": "r", "key": f"k{n % 500}"}
            run = {"id": f"{n:026}", "phase": "SUCCEEDED", "chain": f"c{n}", "ended_at": 1.0}
            conn.execute(insert(t.runs).values(**RUN, **where, **run))
            slot = {"trigger": "t", "slot": n, "until": n, "count": 1, "outcome": "fired", "reason": "", "at": n}
            conn.execute(insert(t.slots).values(**where, **slot))
            letter = {
                "at": n,
                "source": "s",
                "event": f"e{n}",
                "reason": "raised",
                "error": "",
                "rule": "r",
                "size": 1,
            }
            conn.execute(insert(t.dead_letters).values(**letter, payload=b"x"))
            state = {"id": n, "rule": "r", "key": f"k{n}", "revision": "", "version": 1, "state": "{}", "touched_at": n}
            conn.execute(insert(t.states).values(**state))
    yield opened
    opened.close()


def steps(store: SqliteStore, ask: Callable[[Connection], object]) -> int:
    """Steps of SQLite's virtual machine, in hundreds."""
    counted = 0

    def step() -> int:
        nonlocal counted
        counted += 1
        return 0

    store._driver.set_progress_handler(step, 100)
    store.read(ask)
    store._driver.set_progress_handler(None, 0)
    return counted


QUESTIONS: list[Any] = [
    pytest.param(lambda conn: run_statements.last_run(conn, "r"), id="the last run of a rule"),
    pytest.param(lambda conn: run_statements.live_runs(conn, "r", "k1"), id="what runs of a key"),
    pytest.param(lambda conn: queries.runs(conn, rule="r", page=PageRequest(limit=10)), id="runs of a rule"),
    pytest.param(
        lambda conn: queries.runs(conn, rule="r", phase="FAILED", page=PageRequest(limit=10)),
        id="failed ones, if none failed",
    ),
    pytest.param(
        lambda conn: queries.runs(conn, phase="FAILED", page=PageRequest(limit=10)),
        id="failed ones of all rules",
    ),
    pytest.param(
        lambda conn: queries.runs(conn, rule="r", phase="RUNNING", page=PageRequest(limit=10)),
        id="live ones of a rule",
    ),
    pytest.param(lambda conn: queries.runs(conn, ended=False, page=PageRequest(limit=10)), id="all live ones"),
    pytest.param(lambda conn: queries.runs(conn, ended=True, page=PageRequest(limit=10)), id="ended ones"),
    pytest.param(
        lambda conn: queries.runs(conn, rule="r", trigger="manual", page=PageRequest(limit=10)), id="manual ones"
    ),
    pytest.param(lambda conn: related.attempts(conn, "01K", ALL), id="the attempts of a run"),
    pytest.param(lambda conn: related.followed(conn, {"a"}, "r", 3000.0, ALL), id="what followed a run"),
    pytest.param(lambda conn: queries.slots(conn, "r", page=PageRequest(limit=10)), id="slots of a rule"),
    pytest.param(
        lambda conn: queries.slots(conn, "r", page=PageRequest((3000.0, "k0", "t"), 10)),
        id="slots further back",
    ),
    pytest.param(
        lambda conn: queries.dead_letters(conn, source="other", page=PageRequest(limit=10)),
        id="dead letters of a source",
    ),
    pytest.param(
        lambda conn: queries.dead_letters(conn, page=PageRequest(limit=10, since=3000.0, until=3100.0)),
        id="dead letters of a time",
    ),
    pytest.param(
        lambda conn: queries.dead_letters(conn, source="other", page=PageRequest(limit=10, until=3100.0)),
        id="dead letters of a source and a time",
    ),
    pytest.param(
        lambda conn: queries.slots(conn, "r", page=PageRequest(limit=10, until=3100.0)), id="slots before a time"
    ),
    pytest.param(lambda conn: queries.runs(conn, page=PageRequest(limit=10, since=1.0)), id="runs of a time"),
    pytest.param(
        lambda conn: queries.states(conn, "r", page=PageRequest(limit=10, since=1e9)), id="keys that have not changed"
    ),
]


@pytest.mark.parametrize("ask", QUESTIONS)
def test_it_does_not_grow_with_the_store(
    store: SqliteStore, ask: Callable[[Connection], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_module, "SCAN", 100)
    assert steps(store, ask) < 40


def test_a_stretch_without_a_hit_says_where_to_go_on(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "SCAN", MANY // 4)
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = store.read(
            lambda conn, cursor=cursor: queries.runs(conn, rule="r", phase="FAILED", page=PageRequest(cursor))
        )
        cursor, pages = page.next, pages + 1
        assert page.items == []
    assert pages == 5
