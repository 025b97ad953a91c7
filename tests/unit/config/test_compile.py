"""A valid rule can be run: loading compiles each rule with the engine's code, and reports exceptions as problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.config import check_compile, last_known_good
from retrainer.config.load import load_files, load_texts, validate
from retrainer.engine.core.catalog import build_catalog
from retrainer.rules import compile as compiling

from .test_problems import GOOD, said

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OTHER = (
    "version: 1\nrules: [{name: other, triggers: {s: {schedule: {cron: '@daily'}}}, submit: {workflow_template: t}}]\n"
)


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(
            ValueError("bad thing: write a good one"), "rules[0]: bad thing (write a good one)", id="a mistake"
        ),
        pytest.param(OverflowError("too large"), "rules[0]: internal error: OverflowError: too large", id="a number"),
        pytest.param(RecursionError("too deep"), "rules[0]: internal error: RecursionError: too deep", id="a nesting"),
        pytest.param(MemoryError(), "rules[0]: internal error: MemoryError", id="no memory"),
    ],
)
def test_what_the_engines_compile_raises_is_a_problem_of_that_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    (tmp_path / "other.yaml").write_text(OTHER)
    monkeypatch.setattr(compiling, "_KEPT", {})  # other tests compile a rule of that name
    monkeypatch.setattr("retrainer.rules.triggers.data.own_outputs", raising(error))  # called for data triggers only
    (problem,) = said(tmp_path, GOOD)
    assert problem.startswith(f"rules.yaml:9:5: {message}")
    configuration, problems = load_files([str(tmp_path)])
    assert [rule.name for rule in configuration.rules] == ["other"]
    assert len(problems) == 1


def test_what_a_check_raises_is_a_problem_of_that_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.config.check.check_when", raising(KeyError("x")))
    (problem,) = said(tmp_path, GOOD)
    assert problem.startswith("rules.yaml:9:5: rules[0]: internal error: KeyError: 'x' (remove it")


def test_what_reading_raises_is_a_problem_of_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = last_known_good.parse

    def fail(file: str, text: str) -> object:
        if file == "bad":
            raise RecursionError("too deep")
        return parse(file, text)

    monkeypatch.setattr(last_known_good, "parse", fail)
    configuration, problems = load_texts({"bad": GOOD, "good": OTHER})
    assert [rule.name for rule in configuration.rules] == ["other"]
    assert [str(one) for one in problems] == [
        "bad:1:1: internal error: RecursionError: too deep (remove it, and report a bug with these lines)"
    ]


def test_the_engine_runs_what_was_compiled_when_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD)
    configuration, _ = validate(str(tmp_path))
    assert configuration is not None
    monkeypatch.setattr(compiling, "_compile", raising(AssertionError("compiled a second time")))
    rule = build_catalog(configuration, ["churn"]).rules["churn"]
    assert rule.paused
    assert rule.revision == configuration.rule_revision("churn")


def test_an_edit_is_compiled_anew_also_one_of_a_calendar(tmp_path: Path) -> None:
    def mutes(text: str) -> bool:
        (tmp_path / "rules.yaml").write_text(text)
        configuration, _ = validate(str(tmp_path))
        assert configuration is not None
        slots = build_catalog(configuration, []).rules["churn"].schedules["nightly"].slots
        return slots.excepted(1_798_502_400.0) is not None  # 2026-12-29

    assert mutes(GOOD)
    assert not mutes(GOOD.replace("2026-12-24/2027-01-02", "2025-12-24/2026-01-02"))
    assert mutes(GOOD)


def test_of_a_rule_with_a_mistake_nothing_is_said_twice(tmp_path: Path) -> None:
    problems = said(tmp_path, GOOD.replace("30 2 * * mon-fri", "30 25 * * mon-fri").replace("2027-01-02", "2027-01-32"))
    assert len(problems) == 2


def test_unexpected_errors_are_told_as_such() -> None:
    assert check_compile.internal(OverflowError("x")).message == "internal error: OverflowError: x"
