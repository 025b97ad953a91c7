"""The event fields that an expression reads are known at compile time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.expression import compile_cel

ALL = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("events.size()", set()),
        ("size(events) > 3 ? 'many' : 'few'", set()),
        ("events.map(e, e.id)", set()),
        ("events[0].time", set()),
        ("events.map(e, e.data.key)", {"key"}),
        ("events.filter(e, has(e.data.key)).map(e, e.data.key)", {"key"}),
        ("events.filter(e, e.data.size > 10).map(x, x.data['key'])", {"size", "key"}),
        ("events.map(e, e.data.rows.map(r, r.n))", {"rows"}),
        ("events.exists(e, e.data.a.b.c == 1)", {"a"}),
        ("(events.size() > 1 ? events[0] : events[0]).data.key", {"key"}),
        ("events.map(e, e).map(e, e.data.key)", {"key"}),
        ("events.map(e, [e.data.key, e.type])", {"key"}),
        ("events", ALL),
        ("events[0]", ALL),
        ("events[0].data", ALL),
        ("events.map(e, e)", ALL),
        ("events.map(e, e.data)", ALL),
        ("events.map(e, e.data[e.id])", ALL),
        ("events.exists(e, e.data == {})", ALL),
        ("[events][0][0].data.key", ALL),
        ("events.map(e, size(e.data))", ALL),
        ("events.all(e, has(e.data))", ALL),
        ("[1].map(events, events)", set()),
        ("window.events", set()),
    ],
)
def test_what_it_reads(text: str, expected: set[str] | None) -> None:
    assert compile_cel(text).data_read == expected


_EVENT = st.sampled_from(
    ["e", "events[0]", "events.filter(e, has(e.data.a))[0]", "events.map(e, e)[1]", "[events[1]][0]"]
)
_VALUE = st.recursive(
    st.one_of(
        st.builds("{}.data.{}".format, _EVENT, st.sampled_from(("a", "b", "c.d"))),
        st.builds("{}.data['{}']".format, _EVENT, st.sampled_from(("a", "b"))),
        st.builds("{}.{}".format, _EVENT, st.sampled_from(("id", "data", "type"))),
        st.builds("has({}.data.{})".format, _EVENT, st.sampled_from(("a", "b", "z"))),
        st.just("events.size()"),
        _EVENT,
    ),
    lambda inner: st.one_of(
        st.builds("events.map(e, {})".format, inner),
        st.builds("events.filter(e, {} == {})".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("(events.size() > 1 ? {} : {})".format, inner, inner),
        st.builds("size({})".format, inner),
    ),
    max_leaves=4,
)


@settings(max_examples=800, deadline=None)
@given(_VALUE)
def test_without_what_it_does_not_read_it_gives_the_same(text: str) -> None:
    try:
        program = compile_cel(text)
    except ValueError:
        return
    data: list[dict[str, Any]] = [{"a": 1, "b": "x", "c": {"d": [1]}, "e": 5}, {"a": 2, "b": "x", "c": {}}]
    events = [{"id": str(i), "type": "t", "data": one} for i, one in enumerate(data)]
    fields = program.data_read
    kept = [
        {**event, "data": {k: v for k, v in event["data"].items() if fields is None or k in fields}} for event in events
    ]
    answers = []
    for given_events in (events, kept):
        try:
            answers.append(program.evaluate({"events": given_events}))
        except ExpressionError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]
