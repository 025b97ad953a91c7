"""The budgets of the page, in a house that has run for a month: size, screens, API, the store's lock, open pages."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import page_api, page_browser
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.full_house import EVENTS, RULES, RUNS, FullHouse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.benchmarks.page_api import Call

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "retrainer/ui/static"
WHAT = f"{RULES:,} rules of three triggers, {EVENTS:,} events, {RUNS:,} runs, local engine, SQLite. "


def budgets() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        house = FullHouse(Path(folder))
        house.furnish()
        try:
            house.begin()
            learned = page_api.learned(house)
            calls = page_api.measured(house)
            with page_browser.browser() as chromium:
                screens = page_browser.opened(house, chromium)
                beside = page_browser.beside(house, chromium)
            house.stop()
            house.timed = True
            house.begin()
            page_api.learned(house)
            timed, acts = page_api.measured(house), page_api.acted(house)
        finally:
            house.kill()
    return [_size(), *_screens(screens), *_calls(calls), *_locks(timed, acts), *_open(beside), *_learned(learned)]


def _size() -> Figure:
    files = [path for path in STATIC.rglob("*") if path.suffix in (".html", ".js", ".css")]
    sizes = {path.name: round(len(gzip.compress(path.read_bytes())) / 1000, 1) for path in files}
    total = round(sum(sizes.values()), 1)
    return Figure("page_size", total, "kB", "Document, scripts and styles, compressed by gzip.", 90, detail=sizes)


def _screens(screens: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    slowest = max(screen["p50_ms"] for screen in screens.values())
    rows = max(screen["rows"] for screen in screens.values())
    method = f"{WHAT}Chromium, each screen in a new profile, from navigation until nothing is loading; the median of "
    return [
        Figure(
            "page_slowest_screen",
            round(slowest / 1000, 2),
            "s",
            f"{method}{page_browser.OPENED}, of the slowest screen.",
            1,
            detail=dict(screens),
        ),
        Figure("page_rows", rows, "rows", f"{WHAT}Rows of tables and lists in the document, the longest screen.", 200),
    ]


def _calls(calls: Mapping[str, Call]) -> list[Figure]:
    detail = {name: call.to_json() for name, call in calls.items()}
    ask = f"{WHAT}{len(calls)} routes that the screens ask, {page_api.ROUNDS} times in turn, each on a new connection. "
    wall = max(percentile(call.wall, 0.95) for call in calls.values())
    cpu = max(sum(call.cpu) / len(call.cpu) for call in calls.values())
    return [
        Figure("page_call_p95", round(wall, 1), "ms", f"{ask}The p95 of the slowest.", 150, detail=detail),
        Figure("page_call_cpu", round(cpu, 1), "ms", f"{ask}Processor time of the dearest, the mean.", 150),
    ]


def _locks(calls: Mapping[str, Call], acts: Mapping[str, Call]) -> list[Figure]:
    detail = {name: call.to_json() for name, call in {**calls, **acts}.items()}
    held = "The longest of the p95 of each {}, {} for which it held SQLite's connection at once."
    found = []
    for name, what, of in (("page_call", "route", calls), ("page_act", "act on 500 rules", acts)):
        wall = max(percentile(call.held, 0.95) for call in of.values())
        cpu = max(percentile(call.held_cpu, 0.95) for call in of.values())
        found += [
            Figure(f"{name}_hold", round(wall, 1), "ms", WHAT + held.format(what, "time"), 20, detail=detail),
            Figure(f"{name}_hold_cpu", round(cpu, 1), "ms", WHAT + held.format(what, "processor time"), 20),
        ]
    return found


def _open(beside: Mapping[str, float]) -> list[Figure]:
    method = f"{WHAT}{page_browser.PAGES} open pages, each with its own stream, for {page_browser.WATCHED:g} s: "
    share = round(beside["open_percent"] - beside["alone_percent"], 2)
    memory = round((beside["open_mib"] - beside["alone_mib"]) * 1.048576, 1)
    return [
        Figure("page_open_cpu", share, "%", f"{method}more of a core than without.", 2, detail=dict(beside)),
        Figure("page_open_memory", memory, "MB", f"{method}more VmRSS than without.", 20),
    ]


def _learned(learned: tuple[float, float, Call]) -> list[Figure]:
    seconds, used, call = learned
    method = f"{WHAT}From the first question after a start until all verdicts are known; one page asks each second."
    detail = {"cpu_s": round(used, 2), "overview_p95_ms": round(percentile(call.wall, 0.95), 1)}
    return [Figure("page_first_verdicts", round(seconds, 1), "s", method, 20, detail=detail)]
