# ruff: noqa: E501 - a table with one case a line
"""Very long or deeply nested files are rejected in time linear in their length, with a short message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from retrainer.config.load import validate

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "version: 1\nrules: "
RULE = "{name: r, triggers: {s: {schedule: {cron: '@daily'}}}, submit: {workflow_template: t}}"
LAUGH = "version: 1\na: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
SECONDS, MORE = 5.0, 10e-6
"""Seconds per file, and per character, on a busy machine. libyaml alone took 25 s for the first file, and four times as
long for twice the depth.
"""
AFTERS = "".join(
    f"  - {{name: r{layer}-{i}, submit: {{workflow_template: t}}, triggers: {{s: {{schedule: {{cron: '@daily'}}}}"
    + "".join(f", a{above}: {{after: {{rule: r{layer - 1}-{above}}}}}" for above in range(20 if layer else 0))
    + "}}\n"
    for layer in range(7)
    for i in range(20)
)


def templated(holes: int, value: str, rules: int) -> str:
    body = "{name: 'n${{ x }}', description: '" + "${{ x }}" * holes + "', triggers: {s: {schedule: {cron: '@daily'}}}}"
    begin = f"version: 1\ntemplates:\n  a: {{parameters: [x], rule: {body}}}\nrules:\n"
    return begin + "".join(f"  - {{template: a, with: {{x: '{value}{i}'}}}}\n" for i in range(rules))


def filled(values: int, rules: int) -> str:
    body = "{description: d, triggers: {s: {schedule: {cron: '@daily'}}}, submit: {workflow: '${{ x }}'}}"
    spec = "{spec: {a: [" + ",".join("1" for _ in range(values)) + "]}}"
    begin = f"version: 1\ntemplates:\n  a: {{parameters: [x], rule: {body}}}\nrules:\n"
    return begin + "".join(f"  - {{name: r{i}, template: a, with: {{x: {spec}}}}}\n" for i in range(rules))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(HEAD + "[" * 100_000 + "]" * 100_000, "nested deeper than", id="100,000 brackets"),
        pytest.param(HEAD + "[" * 300_000, "nested deeper than", id="300,000 brackets that nobody closes"),
        pytest.param(HEAD + "{a: " * 50_000 + "1" + "}" * 50_000, "nested deeper than", id="50,000 braces"),
        pytest.param(HEAD + "[\n" * 100_000, "nested deeper than", id="100,000 brackets, one a line"),
        pytest.param(HEAD + "\n  " + "- " * 100_000 + "a", "nested deeper than", id="100,000 dashes"),
        pytest.param("".join("  " * i + f"k{i}:\n" for i in range(2000)), "nested deeper than", id="2,000 levels of block"),
        pytest.param(HEAD + "[" + "# [\n" * 200_000 + "]", "", id="200,000 brackets in comments"),
        pytest.param(HEAD + "[" + "a," * 1_100_000 + "]", "more than 1000000 values", id="a million values"),
        pytest.param("version: 1\n" + "\n" * 1_100_000, "more than 1000000 lines", id="a million lines"),
        pytest.param("%TAG !a! b\n" * 100_000 + "---\na: 1\n", "directives", id="100,000 directives"),
        pytest.param(LAUGH, "anchors and aliases are not supported", id="a billion laughs"),
        pytest.param("a: " + "*a " * 200_000, "not YAML", id="aliases without an end"),
        pytest.param(HEAD + "[" + "*a, " * 200_000 + "]", "too many errors", id="200,000 aliases"),
        pytest.param("version: 1\n" + "".join(f"k{i}: 1\n" for i in range(100_000)), "unknown field", id="100,000 sections"),
        pytest.param("version: 1\n" + "k" * 1_000_000 + ": 1\n", "", id="a key of a megabyte"),
        pytest.param(HEAD + "[" + RULE + ", {" + ", ".join(f"k{i}: 1" for i in range(10_000)) + "}]", "unknown field", id="10,000 fields of a rule"),
        pytest.param(HEAD + "[" + ", ".join(f"{{name: a{i}}}" for i in range(20_000)) + "]", "is missing", id="20,000 rules that lack all"),
        pytest.param("version: 1\nrules:\n" + AFTERS, "", id="20 rules after 20 after 20, seven times"),
        pytest.param(templated(3000, "y" * 2000, 20), "expands it to a text", id="a template that makes 6 MB of 10 kB"),
        pytest.param(filled(30_000, 3), "more than 20000 values", id="a rule of 30,000 values"),
        pytest.param("version: " + "9" * 1_000_000 + "\n", "does not support that version", id="a million digits"),
        pytest.param("version: 1e" + "9" * 1_000_000 + "\n", "a number to some readers", id="a million digits behind an e"),
        pytest.param("version: 0x" + "f" * 1_000_000 + "\n", "does not support that version", id="a million digits to base 16"),
        pytest.param("version: 1." + "0" * 1_000_000 + "\n", "", id="a million zeros"),
        pytest.param("version: 1" + ":1" * 500_000 + "\n", "to base 60", id="a million digits to base 60"),
    ],
)  # fmt: skip
def test_it_is_refused_soon_and_briefly(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    began = time.process_time()
    _, problems = validate(str(file))
    took = time.process_time() - began
    assert took < SECONDS + MORE * len(text)
    assert len(problems) <= 201
    assert sum(len(problem.render()) for problem in problems) < 300_000
    assert said in "\n".join(problem.message for problem in problems)
    assert all(problem.hint for problem in problems)
