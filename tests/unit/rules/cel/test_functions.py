"""Functions beyond the language definition: texts, lists, times, and `default`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from retrainer.config.check_expressions import BOOLEAN, check_cel
from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.environment import EVENT
from retrainer.rules.expression import compile_cel

SCOPE: dict[str, Any] = {
    "event": {
        "data": {"name": "Churn/Daily", "sizes": [3, 1, 2, 3], "nothing": None, "nested": {}},
        "time": datetime(2026, 3, 29, 0, 30, tzinfo=UTC),  # in Berlin half an hour before the clock goes forward
    }
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("event.data.name.lowerAscii()", "churn/daily"),
        ("'grün'.upperAscii()", "GRüN"),
        ("event.data.name.split('/')[0]", "Churn"),
        ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
        ("'a,b'.split(',', 0)", []),
        ("'abc'.split('')", ["a", "b", "c"]),
        ("['a', 'b'].join()", "ab"),
        ("'aaa'.replace('a', 'b', 2)", "bba"),
        ("'hello'.substring(1, 3)", "el"),
        ("'hello'.indexOf('l', 3)", 3),
        ("'hello'.lastIndexOf('z')", -1),
        ("'a'.charAt(1)", ""),
        ("'%s is %d of %.1f, %x %%'.format(['a', 3, 2.25, 255])", "a is 3 of 2.2, ff %"),
        ("'%s %s'.format([true, event.time])", "true 2026-03-29T00:30:00Z"),
        ("event.data.sizes.sum()", 9),
        ("[].sum()", 0),
        ("[duration('1h'), duration('30m')].sum() == duration('90m')", True),
        ("[event.data.sizes.min(), event.data.sizes.max()]", [1, 3]),
        ("event.data.sizes.distinct().sort()", [1, 2, 3]),
        ("event.time.strftime('%Y-%m-%d')", "2026-03-29"),
        ("event.time.strftime('%H:%M', 'America/New_York')", "20:30"),
        ("event.time.strftime('%G-W%V-%u')", "2026-W13-7"),
        ("event.time.truncate('day', 'Europe/Berlin').strftime('%d %H')", "28 23"),
        ("(event.time + duration('3h')).truncate('day', 'Europe/Berlin').strftime('%d %H')", "28 23"),
        ("event.time.truncate('week').strftime('%Y-%m-%d')", "2026-03-23"),
        ("event.time.truncate('year') == timestamp('2026-01-01T00:00:00Z')", True),
        ("event.time.getHours('Asia/Kolkata')", 6),
        ("event.time.getDayOfWeek('America/New_York')", 6),
        ("default(event.data.missing, 5)", 5),
        ("default(event.data.nothing, 5)", 5),
        ("default(event.data.nested.a.b, 'x')", "x"),
        ("default(event.data.sizes, []).size()", 4),
    ],
)
def test_a_function_gives_its_value(text: str, value: object) -> None:
    found = compile_cel(text).evaluate(SCOPE)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'a'.substring(2)", "there is no position 2 between 0 and 1"),
        ("[].max()", "`max` of an empty list"),
        ("[1, 'a'].sort()", "have no order"),
        ("['a', 1].join()", "takes a list of texts, not of a whole number"),
        ("'%d'.format(['a'])", "has no '%d' of a text"),
        ("'%s %s'.format(['a'])", "has no value for '%s'"),
        ("'%q'.format(['a'])", "has no '%q'"),
        ("['a', 'b'].sum()", "adds numbers or durations, not a text"),
        ("event.time.strftime(event.data.name + '%Q')", "is no pattern of a time"),
        ("event.time.getHours(event.data.name)", "unknown time zone 'Churn/Daily'"),
        ("default(event.data.name.a, 1)", "a text has no field 'a'"),
        ("default(1 / 0, 1)", "division by zero"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match="`") as raised:
        compile_cel(text).evaluate(SCOPE)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'a'.split() == []", "`split` takes 1 or 2 values in its brackets, not 0"),
        ("event.time.getHours('Europe/Berln') > 1", "unknown time zone 'Europe/Berln'"),
        ("event.time.strftime('%Q') == ''", "'%Q' is no pattern of a time"),
        ("event.time.truncate('days') > event.time", "`truncate` has no 'days'"),
        ("default(event.data.x) > 1", "not a CEL expression: `default` takes a value and another one"),
        ("'a'.lower() == 'a'", "there is no function `lower`"),
        ("[1].join(2) == ''", "`join` takes a text, not a whole number"),
    ],
)
def test_a_mistake_is_found_before_it_runs(text: str, message: str) -> None:
    (only,) = check_cel(("where",), text, EVENT, BOOLEAN)
    assert only.message == message
    assert only.hint
