"""The expressions of the local engine: operators, functions, conditions after substitution, and their errors."""

# ruff: noqa: E501 - an expression and its value are one line

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrainer.workflows.local.depends import flaw, terms
from retrainer.workflows.local.expression import holds, parse
from retrainer.workflows.local.expression_functions import ExpressionError, text_of
from retrainer.workflows.local.tags import TagError, nested, substitute

VALUES = {
    "inputs.parameters.n": "3",
    "inputs.parameters.the-name": "x",
    "steps.flip.outputs.result": "heads",
    "steps.flip.outputs.parameters": '[{"a":"1"}]',
    "steps.flip.outputs.parameters.a": "1",
    "item": '{"k":"v"}',
    "item.k": "v",
    "json": '{"list": [{"name": "a", "age": 41}, {"name": "b", "age": 43}], "deep": {"x.y": 1}}',
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("1 + 2 * 3 - 4 / 8", "6.5", id="arithmetic"),
        pytest.param("2 ** 3 ** 2 % 100", "12", id="powers-from-the-right"),
        pytest.param("asInt(inputs.parameters.n) - 1", "2", id="whole-numbers"),
        pytest.param("4 / 2", "2", id="a-whole-quotient"),
        pytest.param("asFloat('2.50') + 1", "3.5", id="floats"),
        pytest.param("inputs.parameters['the-name'] + \"y\" + `\\z`", "xy\\z", id="texts"),
        pytest.param("inputs['parameters'].n == '3' ? 'yes' : 'no'", "yes", id="choice"),
        pytest.param("nil ?? inputs.parameters.none ?? 'else'", "else", id="nothing"),
        pytest.param("inputs?.parameters?.n", "3", id="optional-members"),
        pytest.param("!(true and false) || not true", "true", id="booleans"),
        pytest.param("'a' in ['a', 'b'] && 'c' not in ['a'] && 1 in 1..3", "true", id="membership"),
        pytest.param("'model-v1' matches '^model' && 'abc' contains 'b' && 'abc' startsWith 'a' && 'abc' endsWith 'c'", "true", id="parts-of-texts"),
        pytest.param("toJson(filter([1, 3, 5], {# > 1}))", "[3,5]", id="filter"),
        pytest.param("map([{'a': 1}, {'a': 2}], .a * 2)", "[2,4]", id="members-of-elements"),
        pytest.param("all([1, 2], # > 0) and none([1], # > 1) and one([1, 2], # == 2) and any([1], {# == 1})", "true", id="loops"),
        pytest.param("1..4 | filter(# % 2 == 0) | sum()", "6", id="pipe"),
        pytest.param("[1, 2, 3][1:][0] + len('abcd'[:2])", "4", id="slices"),
        pytest.param("sprig.upper(sprig.trimSuffix('-x', 'a-x'))", "A", id="sprig"),
        pytest.param("sprig.default('d', '') + sprig.join(',', sprig.list('a', 1))", "da,1", id="sprig-lists"),
        pytest.param("item.k", "v", id="a-member-of-an-item"),
        pytest.param("steps.flip.outputs.parameters.a", "1", id="an-output-of-a-loop"),
        pytest.param("jsonpath(json, '$.list[0].name')", "a", id="jsonpath"),
        pytest.param("jsonpath(json, '$.list[*].age')", "[41,43]", id="jsonpath-of-all"),
        pytest.param("jsonpath(json, '$.list[?(@.age > 42 && @.age < 44)].name')", '["b"]', id="jsonpath-with-a-condition"),
        pytest.param("jsonpath(json, '$.deep[\"x.y\"]') == 1", "true", id="jsonpath-with-a-quoted-name"),
        pytest.param("jsonpath(json, '$.list[-1:]')[0].name", "b", id="jsonpath-slice"),
        pytest.param("true == 1 || '1' == 1", "false", id="types-are-not-mixed"),
    ],
)  # fmt: skip
def test_values(text: str, value: str) -> None:
    assert text_of(parse(text).value(nested(VALUES))) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "a value is missing before 'its end'", id="empty"),
        pytest.param("1 +", "a value is missing before 'its end'", id="cut-off"),
        pytest.param("(1", "',' is missing before 'its end'", id="open"),
        pytest.param("1 2", "does not end before '2'", id="two"),
        pytest.param("a = 1", "cannot be read from '= 1' on", id="one-equals-sign"),
        pytest.param("now()", "there is no function 'now' here; there are abs, ", id="unknown-function"),
        pytest.param("sprig.uuidv4()", "there is no sprig.uuidv4 here; there are add, ", id="unknown-sprig"),
        pytest.param("jsonpath('{}')", "jsonpath takes a text and a path", id="too-few"),
        pytest.param("(" * 50 + "1" + ")" * 50, "is nested deeper than 40 levels", id="deep"),
        pytest.param("1 + " * 2000 + "1", "is longer than 4096 characters", id="long"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("'a' - 1", "unsupported operand", id="types"),
        pytest.param("1 / 0", "division by zero", id="zero"),
        pytest.param("'a' && true", "'a' is not true or false", id="no-boolean"),
        pytest.param("asInt('x')", "invalid literal", id="no-number"),
        pytest.param("[1][3]", "list index out of range", id="outside"),
        pytest.param("none.member", "None has no members, such as 'member'", id="nothing"),
        pytest.param("len(1, 2)", "positional argument", id="arguments"),
        pytest.param("1..1000000", "has more than 10000 elements", id="range"),
        pytest.param("'ab' * 1000000000", "can only concatenate str", id="repeat"),
        pytest.param("9.0 ** 999 ** 9", "out of range", id="power"),
        pytest.param("jsonpath('{}', '$.a')", "there is no $.a in the JSON", id="jsonpath"),
        pytest.param("jsonpath('{}', '$..a')", "cannot follow '..a'", id="jsonpath-deep"),
        pytest.param("'a' matches '('", "missing ), unterminated subpattern", id="pattern"),
        pytest.param("fromJSON('[' + ']')[0]", "list index out of range", id="json"),
    ],
)
def test_what_has_no_value(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text).value(nested(VALUES))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("heads == heads", True, id="bare-words"),
        pytest.param("'a b' == \"a b\" && heads != tails", True, id="quoted"),
        pytest.param("5 < 10 && 2.5 >= 2.5", True, id="numbers"),
        pytest.param("heads =~ hea || heads !~ hea", True, id="patterns"),
        pytest.param("x in ('y', 'z')", False, id="list"),
        pytest.param("true == true", True, id="booleans"),
        pytest.param("( heads == heads && tails == tails ) || false", True, id="parentheses"),
        pytest.param("1 == '1'", False, id="a-number-is-no-text"),
    ],
)
def test_conditions(text: str, value: Any) -> None:
    assert holds(text) is value


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for bare in (True, False):
        try:
            parse(text, bare=bare).value({})
        except ExpressionError:
            continue


@given(st.text(alphabet="ab&|!(). SuceddFail", max_size=40))
def test_any_depends_has_terms_or_a_flaw(text: str) -> None:
    assert flaw(text) or all(task for task, _ in terms(text))


def test_the_names_that_an_expression_reads() -> None:
    found = parse("inputs.parameters['a-b'] + item.x.y + sprig.upper(z) + toJson(map(q, #.w))").names
    assert found == {"inputs.parameters.a-b", "item.x.y", "z", "q"}


def test_tags() -> None:
    assert substitute("{{a}} {{=asInt(a) + 1}} {{= item.k }}", {"a": "1", **VALUES}) == "1 2 v"
    with pytest.raises(TagError, match=r"\{\{b\}\} has no value"):
        substitute("{{b}}", {"a": "1"})
    with pytest.raises(TagError, match=r"\{\{=none\}\}: has no value"):
        substitute("{{=none}}", {"a": "1"})
    assert substitute("{{a}}", {"a": "{{=1 + 1}}"}) == "{{=1 + 1}}"
