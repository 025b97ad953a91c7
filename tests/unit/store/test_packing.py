"""Large data is compressed in the store, and read back unchanged."""

from __future__ import annotations

import base64
import random
import zlib
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrainer.simulate.history import open_history
from retrainer.store import event_statements, queries
from retrainer.store.packing import LEAST, pack, unpack
from tests.unit.engine.test_levels import ASKED, Story, rule

if TYPE_CHECKING:
    from pathlib import Path

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=9)
NESTED = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from("ab"), SCALARS)
ROW = st.fixed_dictionaries({"labels": st.fixed_dictionaries({"a": SCALARS, "b": NESTED}), "value": SCALARS})
ROWS = st.lists(ROW, max_size=12) | st.lists(NESTED, max_size=12)
PADDING = "x" * LEAST


def a_poll(count: int, noise: random.Random) -> dict[str, Any]:
    told = {"__name__": "psi", "job": "drift-exporter", "namespace": "ml"}
    series = [
        {
            "labels": {**told, "instance": f"10.1.2.{i % 251}:9090", "model": f"m{i // 40}", "feature": f"f{i % 40}"},
            "value": noise.random(),
            "time": 1_800_000_000.125,
        }
        for i in range(count)
    ]
    return {"expr": "psi", "sample_time": "", "series": series, "error": ""}


@given(st.dictionaries(st.text(max_size=4), NESTED | ROWS, max_size=3))
def test_whatever_was_packed_comes_back_with_its_fields_in_order(data: dict[str, Any]) -> None:
    data = {"first": PADDING, **data}
    text = pack(data)
    assert text.startswith("z:")
    assert orjson.dumps(unpack(text)) == orjson.dumps(data)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"a": 1, "b": 2}] * 99 + [{"b": 2, "a": 1}], id="fields in another order"),
        pytest.param([{"a": 1}] * 99 + [{"a": 1, "b": 2}], id="a field that only one has"),
        pytest.param([{"a": {"x": i}} for i in range(99)] + [{"a": {"y": 1}}], id="alike outside, not inside"),
        pytest.param([{"a": 1}] * 99 + [None], id="a row that is none"),
        pytest.param([{}] * 99, id="rows without fields"),
        pytest.param([{"a": 1}], id="one row"),
        pytest.param([], id="no rows"),
    ],
)
def test_rows_that_are_not_alike_are_kept_as_they_are(rows: list[Any]) -> None:
    data = {"rows": rows, "padding": PADDING, "after": 1}
    assert orjson.dumps(unpack(pack(data))) == orjson.dumps(data)


def test_what_is_small_stays_json_that_a_database_can_look_into() -> None:
    assert pack({"n": 1, "rows": [{"a": 1}]}) == '{"n":1,"rows":[{"a":1}]}'
    assert unpack('{"n":1}') == {"n": 1}


def test_what_was_stored_before_data_was_packed_is_still_read() -> None:
    data = a_poll(500, random.Random(1))
    assert unpack(orjson.dumps(data).decode()) == data


def test_a_packed_text_means_the_same_in_all_releases() -> None:
    told = orjson.dumps([["n", "s"], {"n": 1}, {"s": {"columns": {"v": {"values": [1, 2]}}}}])
    text = "z:" + base64.b64encode(zlib.compress(told)).decode()
    assert unpack(text) == {"n": 1, "s": [{"v": 1}, {"v": 2}]}


def test_a_poll_of_many_noisy_series_takes_a_tenth() -> None:
    data = a_poll(10_000, random.Random(1))
    assert len(pack(data)) * 10 < len(orjson.dumps(data))


def test_a_packed_poll_is_read_wherever_the_ledger_is(tmp_path: Path) -> None:
    story = Story(tmp_path, rule("churn", {"drift": ASKED}))
    series = [({"model": f"m{i}"}, i / 1000) for i in range(300)] + [({"model": "churn"}, 0.1)]
    story.poll(*series)
    (stored,) = story.bench.query("SELECT data FROM events")[0]
    assert stored.startswith("z:")
    asked = story.bench.store.read(lambda conn: queries.event(conn, 1))
    assert asked is not None
    told = [(one["labels"], one["value"]) for one in asked["data"]["series"]]
    assert told == series
    listed = story.bench.store.read(queries.events)
    assert listed.items[0]["data"] == asked["data"]
    story.bench.store.close()
    (event,) = [one.event for one in open_history(str(tmp_path / "retrainer.db")).records() if one.event]
    assert event.data == asked["data"]


def test_a_packed_event_that_waits_in_a_window_is_there_for_parameters(tmp_path: Path) -> None:
    trigger = {"new": {"data": {"source": "push"}}}
    submit = {"parameters": {"first": "${events[0].data.rows[9].n}"}}
    story = Story(tmp_path, rule("churn", trigger, submit=submit))
    story.emit("json", {"rows": [{"n": n, "text": "x" * 500} for n in range(10)]})
    (parameters,) = story.bench.query("SELECT parameters FROM runs")[0]
    assert orjson.loads(parameters) == {"first": "9"}
    state = story.bench.query("SELECT id FROM states")[0][0]
    ((_, event),) = story.bench.store.read(lambda conn: event_statements.newest_inputs(conn, state, [(1, 9)], 10))
    assert event.data["rows"][9]["n"] == 9
