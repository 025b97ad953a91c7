"""Evaluation is bounded: steps are counted deterministically, and the step budget is used up in a short time."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from retrainer.rules.cel import pattern
from retrainer.rules.cel.errors import ExpressionError, OverBudget
from retrainer.rules.cel.values import BUDGET
from retrainer.rules.expression import Program, compile_cel
from retrainer.rules.parameters import MAX_RENDERED, ParameterTemplate, as_text, render
from tests.unit.rules.cel.kit import EVENTS, EXPRESSIONS, SCOPE

LONGEST = 2.0
"""Seconds of CPU, far above what the budget is calibrated for: the test machine may be slow and busy."""
LARGE: dict[str, Any] = {
    "event": {
        **SCOPE["event"],
        "data": {
            "xs": [2] * 40_000,
            "ys": [1] * 40_000,
            "s": "a" * 900_000,
            "words": [f"word-{i}" for i in range(40_000)],
            "m": {f"k{i}": i for i in range(20_000)},
            "pairs": [[i, {"a": i}] for i in range(20_000)],
            "r": "(?:a{0,500}){0,100}$",
            "digits": "1" * 399 + "x",
            "short": "a" * 2499,
            "part": "a" * 1249 + "ba",
            "open": [f"{'a' * 990}{i})" for i in range(900)],
            "long": {"k" * 300_000: 1},
            "name": "k" * 300_000,
            "same": {"k" * 300_000: 1},
        },
    }
}
D = "event.data."
AGES = "timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')"


def over(program: Program, scope: dict[str, Any]) -> str:
    try:
        program.evaluate(scope)
    except ExpressionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "text",
    [
        f"{D}xs.exists(x, x in {D}ys)",
        f"{D}xs.exists(x, {D}xs.exists(y, y == 7))",
        f"{D}xs.all(x, x * x + x * x > 3 && x < 5 && x * 2 == x + 2)",
        f"{D}xs.all(x, {D}missing || {D}missing || true)",
        f"{D}xs.all(x, {D}m[{D}s] == 1 || true)",
        f"{D}xs.all(x, timestamp({D}s) == event.time || true)",
        f"{D}xs.all(x, 'a'.matches({D}s) || true)",
        f"{D}xs.map(x, {{'a': x, 'b': [x, x]}})",
        f"{D}xs.map(x, {D}s + {D}s)",
        f"{D}xs.map(x, {D}xs + {D}xs)",
        f"{D}xs.map(x, {D}pairs == {D}pairs)",
        f"{D}xs.exists(x, {D}s.contains('aaaaaaaaaaaaaaaab'))",
        f"{D}xs.exists(x, {D}s.contains({D}s + 'b'))",
        f"{D}xs.exists(x, {D}s == {D}s + 'b')",
        f"{D}xs.exists(x, {D}xs.map(y, string(y) + string(x)) == {D}words)",
        f"{D}words.filter(w, w.matches('[a-z]+-[0-9]*7$'))",
        f"{D}words.filter(w, 'abc'.matches(w))",
        f"{D}words.filter(w, 'abc'.matches('(?:[a-z]{{0,30}}[-_]?){{0,20}}' + w))",
        f"{D}words.map(w, timestamp('2026-01-01T00:00:00Z') + duration('1h2m3s4ms'))",
        f"{D}xs.exists(x, double({D}digits) > 1.0)",
        f"{D}xs.exists(x, int({D}digits) > 1)",
        f"{D}xs.exists(x, timestamp({D}digits) > event.time || duration({D}digits) > duration('1s'))",
        f"{D}xs.exists(x, {D}short.contains({D}part))",
        f"{D}open.exists(x, 'a'.matches(x))",
        f"{D}xs.exists(x, {D}long[{D}name] == 2)",
        f"{D}xs.exists(x, !({D}name in {D}long))",
        f"{D}xs.exists(x, {D}long != {D}same)",
        f"{D}xs.exists(x, {{{D}name: 1, {D}name + '': 1}}.size() == 2)",
        f"({D}s + {D}s).matches('(a|b)*c')",
        f"{D}xs.exists(x, {D}s.split('').size() == 1)",
        f"{D}xs.exists(x, {D}s.replace('a', 'bbbbbbbb').size() == 1)",
        f"{D}xs.exists(x, {D}short.replace('', {D}short).size() == 1)",
        f"{D}xs.exists(x, {D}short.lastIndexOf({D}part) > 1)",
        f"{D}xs.exists(x, {D}words.join({D}short) == '')",
        f"{D}xs.exists(x, {D}words.sort() == [])",
        f"{D}xs.exists(x, {D}words.distinct() == [])",
        f"{D}xs.exists(x, {D}xs.sum() + {D}xs.max() == 1)",
        f"{D}xs.exists(x, '%s%s'.format([{D}s, {D}s]) == '')",
        f"{D}xs.exists(x, '{'%d' * 100}'.format({D}xs) == '')",
        f"{D}xs.exists(x, event.time.strftime('%Y%j%V', 'Europe/Berlin') == '')",
        f"{D}xs.exists(x, event.time.truncate('week', 'America/Havana') > event.time)",
        f"{D}xs.exists(x, ({D}s + ' ').trim().lowerAscii().upperAscii().substring(1) == '')",
        f"{D}xs.exists(x, default({D}missing, false))",
        f"[{AGES}].all(d, event.time + ({' + '.join('d' * 28)}) > event.time)",
    ],
)
def test_an_expression_that_asks_too_much_is_cut_off_in_time(text: str) -> None:
    program = compile_cel(text)
    began = time.thread_time()
    said = over(program, LARGE)
    assert time.thread_time() - began < LONGEST
    assert said


@pytest.mark.parametrize(
    "text",
    [
        f"{D}xs.filter(x, x > 1).size() > 0",
        f"{D}xs.map(x, x).size()",
        f"{D}pairs.exists(p, p[1].a == 9999)",
        f"{D}m.all(k, k.startsWith('k'))",
        f"{D}s.contains('b')",
        f"{D}s.matches('b')",
    ],
)
def test_what_a_rule_may_want_of_a_megabyte_is_within_the_budget(text: str) -> None:
    program = compile_cel(text)
    if "matches" in text:
        assert "steps" in over(program, LARGE)
        return
    began = time.thread_time()
    assert over(program, LARGE) == ""
    assert time.thread_time() - began < LONGEST


def test_too_large_a_pattern_is_refused_whatever_it_is_matched_against() -> None:
    assert "the pattern is too large" in over(compile_cel(f"'a'.matches({D}r)"), LARGE)
    assert "the pattern is too large" in over(compile_cel("'a'.matches('(?:[a-z]{0,500}[-_]?){0,100}$')"), LARGE)


PARAMETERS = {
    "the documented pattern": "events.filter(e, has(e.data.key)).map(e, e.data.key)",
    "names by a pattern": "events.filter(e, e.data.key.matches('^tenant=[0-9]+/.*[.]parquet$')).size()",
    "a total": "events.map(e, e.data.size).filter(n, n > 10).size()",
}


@pytest.mark.parametrize("text", PARAMETERS.values(), ids=PARAMETERS.keys())
def test_a_thousand_events_in_a_parameter_are_far_below_the_budget(text: str) -> None:
    key = "tenant=42/model=churn/dt=2026-11-29/hour=18/part-%05d-8b1f7c1e-c000.snappy.parquet"
    events = [{**SCOPE["event"], "data": {"key": key % i, "size": i}} for i in range(1000)]
    began = time.thread_time()
    assert compile_cel(text).steps({"events": events}) < BUDGET / 2
    assert time.thread_time() - began < LONGEST


@settings(max_examples=600, deadline=None)
@given(EXPRESSIONS, EVENTS)
def test_any_expression_over_any_event_has_a_value_or_says_why_not(text: str, data: dict[str, Any]) -> None:
    scope = {"event": {**SCOPE["event"], "data": data}}
    try:
        program = compile_cel(text)
    except ValueError:
        return
    steps = []
    for _ in range(2):
        try:
            value, left = program.spend(scope, BUDGET)
        except ExpressionError as error:
            steps.append(str(error))
            continue
        steps.append(left)
        assert left >= 0
        try:
            rendered = as_text(value)
        except ValueError:
            continue
        orjson.dumps(rendered)
    assert steps[0] == steps[1]


def test_the_same_steps_are_counted_whatever_was_evaluated_before_and_in_whichever_thread() -> None:
    texts = [f"{D}words.filter(w, w.matches('[{c}-z]+-[0-9]*{i}$'))" for i in range(8) for c in "ab"]
    scope = {"event": {"data": {"words": LARGE["event"]["data"]["words"][:300]}}}
    first = [compile_cel(text).steps(scope) for text in texts]
    again = [compile_cel(text).steps(scope) for text in reversed(texts)]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda text: compile_cel(text).steps(scope), texts * 3))
    assert again[::-1] == first
    assert beside == first * 3


def test_parameters_share_one_budget() -> None:
    one = f"{D}xs.map(x, x).size()"
    assert compile_cel(one).steps(LARGE) < BUDGET
    templates = {f"p{i}": ParameterTemplate((compile_cel(one),)) for i in range(10)}
    with pytest.raises(ValueError, match=r"parameters\.p\d: .* steps") as error:
        render(templates, LARGE)
    assert not isinstance(error.value, OverBudget)


def test_parameters_are_bounded_however_many_expressions_they_have() -> None:
    """Each expression yields a few kilobytes. The total over expressions and parameters is limited."""
    scope = {"event": {"data": {"xs": list(range(20_000))}}}
    one = ParameterTemplate((compile_cel(f"{D}xs"),) * 5000)
    began = time.thread_time()
    for templates in ({"p": one}, {f"p{i}": ParameterTemplate(one.parts[:1]) for i in range(5000)}):
        with pytest.raises(ValueError, match="more than"):
            render(templates, scope)
    assert time.thread_time() - began < LONGEST


def test_what_is_remembered_of_patterns_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state of these patterns has hundreds of positions, and each text creates new states."""
    monkeypatch.setattr(pattern, "MOST_KEPT", 5000)
    random = Random(7)
    programs = [compile_cel(f"text.matches('[ab]*a[ab]{{{times}}}$')") for times in range(590, 600)]
    pattern.compiled.cache_clear()
    gc.collect()
    before = len(gc.get_objects())
    for program in programs:
        for _ in range(4):
            assert "steps" in over(program, {"text": "".join(random.choices("ab", k=1000))})
    gc.collect()
    assert len(gc.get_objects()) < before + 10_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[duration('1h'), duration('-1500ms')]", '["3600s","-1.5s"]'),
        ("duration('90m')", "5400s"),
        ("{1: 'a', 'b': timestamp('2026-01-01T00:00:00Z')}", '{"1":"a","b":"2026-01-01T00:00:00Z"}'),
        ("[double('NaN'), 1u, null, true, 1.5]", "[null,1,null,true,1.5]"),
        ("[b'ab']", '["ab"]'),
        ("{'b': {2: [1]}, 'a': []}", '{"a":[],"b":{"2":[1]}}'),
    ],
)
def test_what_is_rendered_is_text_or_json(text: str, expected: str) -> None:
    assert as_text(compile_cel(text).evaluate({})) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("a\0b", "NUL", id="a NUL"),
        pytest.param(["a\0b"], "NUL", id="a NUL within a list"),
        pytest.param("\ud800", "no text in Unicode", id="half a character"),
        pytest.param({"\ud800": 1}, "no text in Unicode", id="half a character as a name"),
        pytest.param(b"\xff", "are no text", id="bytes"),
        pytest.param(2**70, "beyond 64 bits", id="a large number"),
        pytest.param([2**70], "beyond 64 bits", id="a large number within a list"),
        pytest.param({1, 2}, "nothing that an argument could be", id="a set"),
        pytest.param(["a" * 1_000_000] * 40_000, f"more than {MAX_RENDERED} bytes", id="forty gigabytes"),
    ],
)
def test_what_cannot_be_rendered_is_refused(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        as_text(value)
