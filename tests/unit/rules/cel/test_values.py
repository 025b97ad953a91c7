"""Results of expressions, and the errors of those without a result."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retrainer.rules.cel.errors import ExpressionError, NoField, SyntaxProblem
from retrainer.rules.expression import compile_cel
from tests.unit.rules.cel.kit import SCOPE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2", 5),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("2.0 / 0.0", float("inf")),
        ("1 == 1.0 && 1 == 1u && 1 < 1.5", True),
        ("1 == true", False),
        ("'ä' < 'b'", False),
        ("size('äö') + size([1, 2]) + {'a': 1}.size()", 5),
        ("event.data.n > 4 && event.type == 'upload'", True),
        ("event.data.missing || true", True),
        ("1 || true", True),
        ("false && event.data.missing", False),
        ("has(event.data.missing)", False),
        ("has(event.data.m.a)", True),
        ("event.data.xs.map(x, x > 1, x * 2)", [4, 6]),
        ("event.data.xs.filter(x, x % 2 == 1).map(x, string(x))", ["1", "3"]),
        ("event.data.m.map(k, k)", ["a", "b"]),
        ("[0, 1].exists(x, 1 / x > 0)", True),
        ("[1, 2].existsOne(x, x > 1)", True),
        ("[[1, 2], [3]].map(x, x.map(x, x + 1))", [[2, 3], [4]]),
        ("{'a': {1: 'b'}}.a[1]", "b"),
        ("'a' in event.data.m && 2 in event.data.xs && !('z' in event.data.m)", True),
        ("event.data == event.data", True),
        ("[1, [2.0]] == [1.0, [2]]", True),
        ("true ? 1 : false ? 2 : 3", 1),
        ("r'a\\d' + \"\\x41\\u00e4\\101\" + '''b'c'''", "a\\dAäAb'c"),
        ("b'\\xff' + b'a'", b"\xffa"),
        ("0x1F + 0x1", 32),
        (".5 + 1e1", 10.5),
        ("// a comment\n 1", 1),
        ("string(1.0) + string(1e21) + string(0.1)", "110000000000000000000000.1"),
        ("string(duration('1h30m')) + string(timestamp('2026-01-01T02:00:00+02:00'))", "5400s2026-01-01T00:00:00Z"),
        ("event.time - duration('1h')", datetime(2026, 1, 2, 2, 4, 5, 678901, tzinfo=UTC)),
        ("event.time - timestamp('2026-01-02T03:04:05Z')", timedelta(microseconds=678901)),
        ("[event.time.getMonth(), event.time.getDate(), event.time.getDayOfWeek()]", [0, 2, 5]),
        ("duration('90m').getHours() + duration('-90m').getHours()", 0),
        ("duration('123.321s').getMilliseconds() + duration('2m').getMilliseconds()", 321),
        ("[duration('-1.5s').getMilliseconds(), duration('-1.5s').getSeconds()]", [-500, -1]),
        ("[duration('3730s').getMinutes(), duration('3730s').getSeconds()]", [62, 3730]),
        ("int('+5') + int(5.9) + int(-5.9) + int(timestamp('1970-01-01T00:00:09Z'))", 14),
        ("type(1u) + type(event.time)", "uintgoogle.protobuf.Timestamp"),
        ("event.data.s.contains('b') && event.data.s.startsWith('a') && event.data.s.endsWith('c')", True),
    ],
)  # fmt: skip
def test_what_it_gives(text: str, expected: Any) -> None:
    value = compile_cel(text).evaluate(SCOPE)
    assert value == expected
    assert isinstance(value, bool) == isinstance(expected, bool)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("event.data.missing", "no field 'missing'; guard it with has(…) or default(…, …)"),
        ("event.data['missing']", "no field 'missing'; guard it with has(…) or default(…, …)"),
        ("event.data.s.x", "a text has no field 'x'"),
        ("event.data.none.x", "null has no field 'x'"),
        ("has(event.data.s.x)", "a text has no field 'x'"),
        ("1 + 1.0", "`+` between a whole number and a number; convert one: double(…), int(…)"),
        ("'a' * 2", "`*` between a text and a whole number"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "a whole number beyond 64 bits"),
        ("1u - 2u", "a whole number beyond 64 bits"),
        ("int(1e30)", "a whole number beyond 64 bits"),
        ("'a' < 1", "a text and a whole number have no order"),
        ("[1][1]", "there is no item 1 in a list of 1"),
        ("[1][-1]", "there is no item -1 in a list of 1"),
        ("'a' in 'abc'", "`in` looks into a list or a map, not into a text"),
        ("1 ? 2 : 3", "`?` asks for true or false, not a whole number"),
        ("[1].all(x, x)", "`all` asks for true or false, not a whole number"),
        ("'abc'.map(x, x)", "a text has no items to go through"),
        ("{true: 1}", "the keys of a map are texts or whole numbers, not true or false"),
        ("size(1)", "`size` takes a text, bytes, a list or a map, not a whole number"),
        ("timestamp('2026-01-01')", "'2026-01-01' is not RFC 3339 with a time zone, such as 2026-03-01T02:30:00Z"),
        ("timestamp('2026-02-30T00:00:00Z')", "the time '2026-02-30T00:00:00Z' does not exist"),
        ("duration('1d')", "'1d' is no duration, such as 90s, 1h30m or 250ms"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "a timestamp or duration beyond the calendar"),
        ("'a'.matches('(')", "'(' is no pattern: `(` without `)`: close it, or write `[(]` for the character"),
        ("nobody", "there is no `nobody` here"),
        ("nosuchfn(1)", "there is no `nosuchfn` of 1 value"),
    ],
)
def test_what_has_no_value_says_why(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_cel(text).evaluate(SCOPE)
    assert str(error.value) == f"`{text}`: {said}"
    assert isinstance(error.value, NoField) == ("guard" in said)


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("1 +", 3, "it ends too early"),
        ("1 = 2", 2, "unexpected `=`"),
        ("'a", 0, "unexpected `'`"),
        ("'\\q'", 1, "`\\q` means nothing"),
        ("'\\ud800'", 1, "`\\ud800` is no character"),
        ("9223372036854775808", 0, "9223372036854775808 is beyond 64 bits"),
        ("1" * 2000, 0, "1111111111111111111111111111111111111111 is beyond 64 bits"),
        ("package", 0, "`package` is a word of the language, and no name"),
        ("event.in", 6, "unexpected `in`, the name of a field is expected"),
        ("has(event)", 0, "`has` takes a field"),
        ("[1].map(1, 2)", 4, "`map` takes a name and what is asked of each item"),
        (
            "[1].existsOne(a, a.all(b, b.all(c, c)))",
            28,
            "this `all` is one too many: at most 2 of all, exists, exists_one, map and filter",
        ),
        ("(" * 2000, 32, "nested deeper than 32 levels"),
        ("!" * 2000, 0, "nested deeper than 32 levels"),
        ("a" + ".a" * 1000, 63, "nested deeper than 32 levels"),
        ("a ? b : " * 200 + "c", 256, "nested deeper than 32 levels"),
        ("Msg{a: 1}", 3, "unexpected `{`"),
        ("event.?data", 6, "unexpected `?`, the name of a field is expected"),
    ],
)
def test_what_is_no_expression_says_where(text: str, at: int, said: str) -> None:
    with pytest.raises(SyntaxProblem) as error:
        compile_cel(text)
    assert (error.value.at, str(error.value)[: len(said)]) == (at, said)


def test_a_long_sum_nests_no_deeper() -> None:
    assert compile_cel("1" + " + 1" * 500).evaluate({}) == 501
    assert compile_cel("false" + " || false" * 200).evaluate({}) is False
