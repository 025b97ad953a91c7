"""Hypothesis strategies for expressions and events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

SCOPE: dict[str, Any] = {
    "event": {
        "source": "push",
        "id": "1",
        "type": "upload",
        "time": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "subject": "",
        "data": {
            "s": "abc",
            "n": 5,
            "f": 1.5,
            "yes": True,
            "xs": [1, 2, 3],
            "names": ["a", "b"],
            "m": {"a": 1, "b": {"c": [1]}},
            "none": None,
        },
        "attributes": {"kafka": {"partition": 0}},
    }
}
_LEAVES = st.sampled_from(
    [
        *("1", "0", "-7", "2u", "1.5", "0.0", "'a'", "''", "'b'", "true", "false", "null", "[]", "{}", "b'ab'"),
        *("9223372036854775807", "-9223372036854775808", "'2026-01-01T00:00:00Z'", "'1h30m'", "'5'"),
        *(f"event.data.{name}" for name in ("s", "n", "f", "yes", "xs", "names", "m", "none", "missing", "m.b.c")),
        *("event.time", "event.type", "event.data", "event.attributes.kafka.partition", "x", "y"),
    ]
)
_BINARY = ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||")
_FREE = ("size", "string", "int", "uint", "double", "bytes", "timestamp", "duration", "type", "dyn")
_MEMBERS = ("size", "getFullYear", "getHours", "getDayOfWeek", "getMilliseconds", "getSeconds", "getDayOfYear")
_TEXTUAL = ("contains", "startsWith", "endsWith", "matches")
_MACROS = ("all", "exists", "exists_one", "map", "filter")


def _more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(_BINARY), inner),
        st.builds("{}({})".format, st.sampled_from(_FREE), inner),
        st.builds("({}).{}()".format, inner, st.sampled_from(_MEMBERS)),
        st.builds("({}).{}({})".format, inner, st.sampled_from(_TEXTUAL), inner),
        st.builds("({}).{}({}, {})".format, inner, st.sampled_from(_MACROS), st.sampled_from("xy"), inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{{}: {}}}".format, inner, inner),
        st.builds("has(event.data.{})".format, st.sampled_from(("s", "missing", "m.a", "m.z", "s.x"))),
        st.builds("!({})".format, inner),
        st.builds("-({})".format, inner),
    )


EXPRESSIONS = st.recursive(_LEAVES, _more, max_leaves=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abcmnsxyz", max_size=3), inner, max_size=5),
    max_leaves=20,
)
EVENTS = st.dictionaries(st.sampled_from(("s", "n", "f", "yes", "xs", "names", "m", "none")), JSON, max_size=8)
