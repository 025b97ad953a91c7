"""What a mistake in an expression says to write instead is itself an expression without mistakes."""

from __future__ import annotations

import pytest

from retrainer.rules.cel.check import check
from retrainer.rules.cel.errors import SyntaxProblem
from retrainer.rules.cel.parse import parse
from retrainer.rules.environment import event_of_object


def hint(text: str) -> str:
    try:
        node = parse(text)
    except SyntaxProblem as problem:
        return problem.hint
    (mistake,) = check(node, event_of_object(), {})[1]
    return mistake.hint


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        pytest.param("event.data.key like '%a%'", "event.data.key.contains('a')", id="like with two percent signs"),
        pytest.param("event.data.key LIKE 'a%'", "event.data.key.startsWith('a')", id="LIKE"),
        pytest.param("event.data.key like '%a'", "event.data.key.endsWith('a')", id="like at the end"),
        pytest.param("event.data.key like 'a'", "event.data.key == 'a'", id="like without a percent sign"),
        pytest.param("event.data.key like 'a.b_%c'", "event.data.key.matches('^a[.]b..*c$')", id="like with holes"),
        pytest.param("event.data.key in ('a', 'b')", "['a', 'b']", id="a list in round brackets"),
        pytest.param("event.data.key in ('a')", "['a']", id="a list of one in round brackets"),
        pytest.param("event.data.key not in ('a', 'b')", "!(event.data.key in ['a', 'b'])", id="not in"),
        pytest.param("1 if event.data.size > 3 else 2", "event.data.size > 3 ? 1 : 2", id="if and else"),
        pytest.param("event.data.size > '1024'", "event.data.size > 1024", id="a number in quotes"),
        pytest.param("event.data.key < 5", "double(event.data.key) < 5", id="a text that may be a number"),
        pytest.param("event.data.size + 'a'", "string(event.data.size) + 'a'", id="a number before a text"),
        pytest.param("'a' + event.data.size", "'a' + string(event.data.size)", id="a number behind a text"),
        pytest.param("event.data.key.contains()", "event.data.key.contains('TEXT')", id="a method without its value"),
        pytest.param("len(event.data.key) > 3", "size(event.data.key)", id="a function of another language"),
        pytest.param("event.data.key.search('a')", "event.data.key.matches('a')", id="a method with its value"),
        pytest.param("strip(event.data.key)", "event.data.key.trim()", id="a function that is a method here"),
        pytest.param("search(event.data.key, 'a')", "….matches(…)", id="values whose order may be another"),
        pytest.param("len(event.data.key + 'a')", "size(…)", id="a value that is not a name"),
        pytest.param("size(event.time)", "string(event.time)", id="a time in place of a text"),
        pytest.param("event.data.size > 1 AND true", "&&", id="a word of SQL in capital letters"),
    ],
)
def test_a_mistake_of_another_language_shows_what_to_write(text: str, instead: str) -> None:
    assert hint(text) == f"write `{instead}`"
    whole = instead.replace("….", "'a'.").replace("…", "'a'")
    if whole != "&&":
        assert check(parse(whole), event_of_object(), {})[1] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("event.data.key like", id="like without a pattern"),
        pytest.param("(event.data.key) like 'a%'", id="like behind a bracket"),
        pytest.param('event.data.key like "it\'s%"', id="like with a quotation mark"),
        pytest.param("like 'a'", id="like without a value"),
        pytest.param("a if b", id="if without else"),
        pytest.param("f(a if b else c)", id="if within brackets"),
        pytest.param("(1, 2)", id="a comma in brackets that are no list"),
        pytest.param("x in (f('a'), 'b')", id="a list with a call"),
        pytest.param("x not", id="not at the end"),
        pytest.param("x not in", id="not in at the end"),
        pytest.param(", a", id="a comma at the beginning"),
    ],
)
def test_what_cannot_be_put_in_words_is_still_a_mistake(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse(text)
