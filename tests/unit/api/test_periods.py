"""`since` and `until` of every list, and pages of what is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ulid import ULID

from retrainer.api.app import openapi
from retrainer.store import tables as t
from retrainer.util.timefmt import rfc3339
from tests.unit.api.ledger import NOW, RUN, dead_letter, decision, event, run, slot, state

if TYPE_CHECKING:
    import httpx

    from tests.unit.api.daemon import Daemon

API = "/api/v1"
IDS = [str(ULID.from_timestamp(NOW + 1000 * n)) for n in range(6)]
LISTS = [
    path
    for path, methods in openapi()["paths"].items()
    if 'Page"' in json.dumps(methods.get("get", {}).get("responses", {}).get("200", {}))
]


@pytest.fixture(autouse=True)
def later_rows(daemon: Daemon) -> None:
    """Six rows of each kind, a thousand seconds apart, after those of the history."""
    moments = [(n, NOW + 1000 * n) for n in range(6)]
    put = daemon.memory.put
    put(t.events, *(event(100 + n, source="later", at=at) for n, at in moments))
    put(t.runs, *(run(1, id=IDS[n], chain=IDS[n], rule="later", created_at=at) for n, at in moments))
    held = {"rule": "later", "key": ""}
    put(t.decisions, *(decision(100 + n, **held, first_at=at, last_at=at + 500) for n, at in moments))
    put(t.dead_letters, *(dead_letter(100 + n, source="later", at=at) for n, at in moments))
    put(t.slots, *(slot(0, rule="later", slot=at, until=at) for _, at in moments))
    put(t.states, *(state(100 + n, f"later{n}", touched_at=at) for n, at in moments))
    put(t.inputs, *({"state": 1, "seq": 100 + n} for n, _ in moments))
    put(t.runs, run(9, window={"events": 6, "ranges": [[100, 105]]}))


KINDS: list[Any] = [
    pytest.param("/events", {"source": "later"}, "seq", list(range(105, 99, -1)), id="events"),
    pytest.param("/runs", {"rule": "later"}, "id", IDS[::-1], id="runs"),
    pytest.param("/decisions", {"rule": "later"}, "id", list(range(105, 99, -1)), id="decisions"),
    pytest.param("/decisions", {"rule": "later", "key": ""}, "id", list(range(105, 99, -1)), id="decisions of a key"),
    pytest.param("/dead-letters", {"source": "later"}, "id", list(range(105, 99, -1)), id="dead letters"),
    pytest.param("/slots", {"rule": "later"}, "slot", [rfc3339(NOW + 1000 * n) for n in range(5, -1, -1)], id="slots"),
    pytest.param("/rules/churn/keys", {}, "key", [f"later{n}" for n in range(6)], id="keys"),
    pytest.param(f"/runs/{RUN.format(9)}/inputs", {}, "seq", list(range(100, 106)), id="inputs of a run"),
]


def listed(client: httpx.Client, path: str, field: str, **query: Any) -> list[Any]:
    """The field of all items, over as many pages as there are."""
    found, cursor = [], ""
    while cursor is not None:
        answer = client.get(API + path, params={**query, "limit": 2, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found += [item[field] for item in answer.json()["items"]]
        cursor = answer.json()["next"]
    return found


@pytest.mark.parametrize(
    ("since", "until"),
    [
        pytest.param(2, 4, id="from one row to before another"),
        pytest.param(1, None, id="from a row on"),
        pytest.param(None, 3, id="before a row"),
        pytest.param(6, None, id="after all"),
        pytest.param(3, 3, id="empty"),
    ],
)
@pytest.mark.parametrize(("path", "query", "field", "items"), KINDS)
def test_a_period_of_a_list(
    client: httpx.Client, path: str, query: dict[str, str], field: str, items: list[Any], since: int, until: int
) -> None:
    bounds = {"since": since, "until": until}
    asked = {name: rfc3339(NOW + 1000 * n) for name, n in bounds.items() if n is not None}
    rising = items if items == sorted(items) else items[::-1]
    expected = rising[slice(since, until)]
    found = listed(client, path, field, **query, **asked)
    assert [item for item in found if item in items] == (expected if rising == items else expected[::-1])
    assert set(found) <= set(items) or since is None, "rows of the history are earlier"


def test_a_decision_that_held_since_before_the_period_is_in_it(client: httpx.Client) -> None:
    asked = {"rule": "later", "since": rfc3339(NOW + 2400), "until": rfc3339(NOW + 2450)}
    assert listed(client, "/decisions", "id", **asked) == [102]


def test_a_time_without_a_zone_is_refused(client: httpx.Client) -> None:
    assert client.get(f"{API}/runs?since=2025-11-24T08:00:00").status_code == 422


@pytest.mark.parametrize("path", LISTS)
def test_every_list_takes_the_same_parameters(path: str) -> None:
    names = {parameter["name"] for parameter in openapi()["paths"][path]["get"]["parameters"]}
    assert {"since", "until", "cursor", "limit"} <= names
