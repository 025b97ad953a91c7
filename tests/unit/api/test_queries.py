from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from retrainer.store import pages as pages_module
from retrainer.store import queries
from retrainer.store import tables as t
from retrainer.store.packing import pack
from retrainer.store.pages import Page, PageRequest
from tests.unit.api.ledger import NOW, RUN, Memory, event, history, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection


@pytest.fixture
def memory() -> Iterator[Memory]:
    memory = history()
    yield memory
    memory.close()


def pages(memory: Memory, ask: Callable[[Connection, Any], Page]) -> list[list[dict[str, Any]]]:
    """All pages, as a client reads them that follows `next`."""
    found, cursor = [], None
    while True:
        page = memory.read(lambda conn, cursor=cursor: ask(conn, cursor))
        found.append(page.items)
        cursor = page.next
        if cursor is None:
            return found


RUNS = [
    pytest.param({}, [3, 2, 1], id="all-newest-first"),
    pytest.param({"rule": "churn"}, [3, 2, 1], id="of-a-rule"),
    pytest.param({"rule": "churn", "key": "de"}, [2, 1], id="of-a-key"),
    pytest.param({"phase": "FAILED"}, [2], id="ended-in-a-phase"),
    pytest.param({"phase": "RUNNING"}, [3], id="live-in-a-phase"),
    pytest.param({"rule": "other"}, [], id="of-an-unknown-rule"),
    pytest.param({"ended": True}, [2, 1], id="ended"),
    pytest.param({"ended": False}, [3], id="not-ended"),
    pytest.param({"rule": "churn", "trigger": "new_data", "ended": True}, [2, 1], id="of-a-trigger"),
    pytest.param({"trigger": "manual"}, [], id="manual"),
    pytest.param({"rule": "churn", "phase": "SUCCEEDED"}, [1], id="of-a-rule-in-a-phase"),
]


@pytest.mark.parametrize(("wanted", "expected"), RUNS)
@pytest.mark.parametrize("limit", [1, 2, 50])
def test_runs(memory: Memory, wanted: dict[str, Any], expected: list[int], limit: int) -> None:
    found = pages(memory, lambda conn, cursor: queries.runs(conn, **wanted, page=PageRequest(cursor, limit)))
    assert [item["id"] for page in found for item in page] == [RUN.format(n) for n in expected]


def test_a_list_of_runs_leaves_out_what_is_long(memory: Memory) -> None:
    (item,) = memory.read(lambda conn: queries.runs(conn, phase="FAILED")).items
    assert "submit" not in item
    assert item["parameters"] == {"since": "2025-11-24"}


def test_a_run_has_its_json_decoded(memory: Memory) -> None:
    found = memory.read(lambda conn: queries.run(conn, RUN.format(1)))
    assert found is not None
    assert (found["submit"], found["outputs"], found["created_at"]) == (
        {"workflow_template": "churn-train"},
        {"auc": 0.91},
        NOW + 1,
    )
    assert memory.read(lambda conn: queries.run(conn, "nope")) is None


@pytest.mark.parametrize("limit", [1, 2, 4, 50])
def test_inputs_are_the_events_of_the_key_within_the_ranges(memory: Memory, limit: int) -> None:
    # 4 and 5 are between the ranges; 8 is in the second one and belongs to another key
    found = pages(memory, lambda c, cursor: queries.run_inputs(c, RUN.format(1), PageRequest(cursor, limit)))
    assert [item["seq"] for page in found for item in page] == [1, 2, 3, 6, 7]


def test_inputs_of_a_run_without_data(memory: Memory) -> None:
    assert memory.read(lambda conn: queries.run_inputs(conn, RUN.format(2))).items == []
    with pytest.raises(LookupError, match="no run nope"):
        memory.read(lambda conn: queries.run_inputs(conn, "nope"))


EVENTS = [
    pytest.param({}, [9, 8, 7, 6, 5, 4, 3, 2, 1], id="all-newest-first"),
    pytest.param({"matched": ("churn", None)}, [8, 7, 6, 5, 4, 3, 2, 1], id="that-matched-a-rule"),
    pytest.param({"matched": ("churn", "fr")}, [8], id="that-matched-a-key"),
    pytest.param({"matched": ("churn", "FR")}, [], id="keys-differ-by-case"),
    pytest.param({"matched": ("churn", "%")}, [], id="no-wildcards"),
    pytest.param({"matched": ("chur", None)}, [], id="no-prefixes"),
    pytest.param({"outcome": "filtered"}, [9], id="by-outcome"),
    pytest.param({"source": "push"}, [], id="by-source"),
]


@pytest.mark.parametrize(("wanted", "expected"), EVENTS)
@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("scan", [1, 4, 20000])
def test_events(
    memory: Memory,
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, Any],
    expected: list[int],
    limit: int,
    scan: int,
) -> None:
    monkeypatch.setattr(pages_module, "SCAN", scan)
    found = pages(memory, lambda conn, cursor: queries.events(conn, **wanted, page=PageRequest(cursor, limit)))
    assert [item["seq"] for page in found for item in page] == expected
    assert all(len(page) <= limit for page in found)


def test_a_search_without_an_index_goes_on_in_the_next_page(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "SCAN", 3)
    memory.put(t.events, *(event(n, source="noise", rules=[], outcome="ignored") for n in range(10, 20)))
    page = memory.read(lambda conn: queries.events(conn, source="lake"))
    assert (page.items, page.next) == ([], 17)


def test_decisions_of_a_key(memory: Memory) -> None:
    found = memory.read(lambda conn: queries.decisions(conn, rule="churn", key="de", page=PageRequest(limit=2)))
    assert [(item["id"], item["reason"]) for item in found.items] == [(4, "batch_complete"), (3, "cooldown")]
    assert found.next == 3
    fired = memory.read(lambda conn: queries.decisions(conn, decision="fire"))
    assert [item["id"] for item in fired.items] == [4]


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_slots_of_equal_time_are_told_apart(memory: Memory, limit: int) -> None:
    found = pages(memory, lambda conn, cursor: queries.slots(conn, "churn", page=PageRequest(cursor, limit)))
    hours = [((item["slot"] - NOW) / 3600, item["key"]) for page in found for item in page]
    assert hours == [(3, "fr"), (3, "de"), (2, "de"), (1, "de")]


def test_dead_letters_tell_their_size_and_one_its_payload(memory: Memory) -> None:
    found = memory.read(queries.dead_letters).items
    assert [(item["id"], item["size"]) for item in found] == [(2, 2), (1, 7)]
    assert all("payload" not in item for item in found)
    one = memory.read(lambda conn: queries.dead_letter(conn, 1))
    assert one is not None
    assert one["payload"] == b"{broken"


def test_states_by_key(memory: Memory) -> None:
    found = pages(memory, lambda conn, cursor: queries.states(conn, "churn", PageRequest(cursor, 1)))
    assert [item["key"] for page in found for item in page] == ["de", "fr"]


def test_paging_is_not_moved_by_what_arrives_meanwhile(memory: Memory) -> None:
    first = memory.read(lambda conn: queries.runs(conn, page=PageRequest(limit=2)))
    memory.put(t.runs, run(4))
    second = memory.read(lambda conn: queries.runs(conn, page=PageRequest(first.next, 2)))
    assert [item["id"] for item in second.items] == [RUN.format(1)]


@pytest.mark.parametrize(
    ("ask", "count"),
    [
        pytest.param(lambda conn, cursor: queries.runs(conn, page=PageRequest(cursor)), 3, id="runs"),
        pytest.param(lambda conn, cursor: queries.events(conn, page=PageRequest(cursor)), None, id="events"),
        pytest.param(
            lambda conn, cursor: queries.events(conn, source="lake", page=PageRequest(cursor)),
            None,
            id="some events",
        ),
        pytest.param(
            lambda conn, cursor: queries.run_inputs(conn, RUN.format(1), PageRequest(cursor)), None, id="inputs"
        ),
        pytest.param(lambda conn, cursor: queries.slots(conn, "churn", page=PageRequest(cursor)), None, id="slots"),
        pytest.param(lambda conn, cursor: queries.states(conn, "churn", PageRequest(cursor)), 2, id="keys"),
        pytest.param(
            lambda conn, cursor: queries.dead_letters(conn, page=PageRequest(cursor)), None, id="dead letters"
        ),
    ],
)
def test_a_page_ends_where_its_rows_are_large_and_the_next_goes_on(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, ask: Any, count: int | None
) -> None:
    (whole,) = (page for page in pages(memory, ask) if page)
    monkeypatch.setattr(pages_module, "MOST_BYTES", 1)
    single = [page for page in pages(memory, ask) if page]
    assert [len(page) for page in single] == [1] * len(whole)
    assert [item for page in single for item in page] == whole
    assert count in (None, len(whole))


def test_what_is_packed_weighs_what_it_is_once_it_is_unpacked(memory: Memory) -> None:
    memory.put(t.events, *(event(100 + i) for i in range(6)))
    large = update(t.events).where(t.events.c.seq >= 100).values(data=pack({"a": "x" * 1_500_000}))
    memory.read(lambda conn: conn.execute(large))
    first = memory.read(lambda conn: queries.events(conn, page=PageRequest(limit=1000)))
    assert [item["seq"] for item in first.items] == [105, 104, 103]
    assert first.next == 103
