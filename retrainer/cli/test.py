"""Runs tests of rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, local
from retrainer.simulate.junit import junit
from retrainer.simulate.load_cases import load_cases
from retrainer.simulate.story import Played, play
from retrainer.util.clock import SystemClock
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from retrainer.simulate.compare import Mismatch
    from retrainer.simulate.load_cases import Suite


@dataclass(frozen=True, slots=True)
class _Result:
    """``line``: the line of the test in its file."""

    file: str
    line: int
    played: Played
    seconds: float


@click.command()
@click.argument("paths", type=click.Path(exists=True), nargs=-1)
@click.option("--filter", "wanted", metavar="TEXT", default="", help="Only tests whose names contain this.")
@click.option("--junit", "report", type=click.Path(dir_okay=False), help="Also write JUnit XML to this file.")
@local
def test(session: Session, paths: tuple[str, ...], wanted: str, report: str | None) -> None:
    """Test rules: inputs on a simulated clock, and the expected results.

    PATHS are test files, or folders with files named *_test.yaml. Default: the current folder.

    Exit code 1: a test failed. 2: a file is invalid, or there is no test.

    Example: retrainer test rules/ --filter nightly --junit results.xml
    """
    suites = load_cases(paths or (".",))
    results = [result for suite in suites for result in _play(suite, wanted)]
    if report is not None:
        _write(session, report, suites, results)
    broken = not results or any(suite.problems for suite in suites)
    code = 2 if broken else int(not all(result.played.passed for result in results))
    session.print(_as_json(suites, results), lambda console: _show(console, suites, results, wanted), code=code)


def _play(suite: Suite, wanted: str) -> Iterator[_Result]:
    clock = SystemClock()
    for case, line in zip(suite.cases, suite.places, strict=True):
        if suite.configuration is not None and wanted in case.name:
            began = clock.monotonic()
            played = play(case, suite.configuration)
            yield _Result(suite.file, line, played, clock.monotonic() - began)


def _show(console: Console, suites: Sequence[Suite], results: Sequence[_Result], wanted: str) -> None:
    show.problems(console, (problem.render() for suite in suites for problem in suite.problems))
    for result in results:
        console.print("ok    " if result.played.passed else "FAILED", style=_style(result.played.passed), end="  ")
        console.print(f"{result.file}:{result.line}  {result.played.name}", soft_wrap=True)
        for failure in result.played.failures:
            console.print(_text(failure, "        "), soft_wrap=True)
    failed = sum(not result.played.passed for result in results)
    broken = sum(bool(suite.problems) for suite in suites)
    parts = [f"{len(results) - failed} passed", f"{failed} failed"]
    parts += [f"{broken} {'file is' if broken == 1 else 'files are'} invalid"] if broken else []
    if not results and not broken:
        parts = [
            f"no test has {wanted!r} in its name" if wanted else "no tests: name a file, or a folder with *_test.yaml"
        ]
    console.print(", ".join(parts), style=_style(bool(results) and not failed and not broken))


def _style(good: bool) -> str:
    return "green" if good else "red"


def _text(failure: Mismatch, indent: str) -> str:
    lines = [f"at {moment(failure.at)}: {failure.message}", *(f"  {line}" for line in failure.diff)]
    if failure.decided:
        lines += ["  decided before:", *(f"    {line}" for line in failure.decided)]
    return "\n".join(indent + line for line in lines)


def _as_json(suites: Sequence[Suite], results: Sequence[_Result]) -> dict[str, Any]:
    tests = [
        {
            "file": result.file,
            "line": result.line,
            "name": result.played.name,
            "passed": result.played.passed,
            "seconds": round(result.seconds, 3),
            "failures": [
                {"at": moment(f.at), "message": f.message, "diff": f.diff, "decided": f.decided}
                for f in result.played.failures
            ],
        }
        for result in results
    ]
    problems = [problem.as_json() for suite in suites for problem in suite.problems]
    good = bool(results) and not problems and all(result.played.passed for result in results)
    return {"passed": good, "tests": tests, "problems": problems}


def _write(session: Session, report: str, suites: Sequence[Suite], results: Sequence[_Result]) -> None:
    def tests(suite: Suite) -> list[tuple[str, str, float]]:
        return [
            (r.played.name, "\n".join(_text(f, "") for f in r.played.failures), r.seconds)
            for r in results
            if r.file == suite.file
        ]

    broken = {suite.file: "\n\n".join(problem.render() for problem in suite.problems) for suite in suites}
    document = junit((suite.file, tests(suite), broken[suite.file]) for suite in suites)
    try:
        Path(report).write_bytes(document)
    except OSError as error:
        raise session.failure(f"{report}: {error.strerror}; name a writable file") from None
