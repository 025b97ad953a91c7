"""The page's screens in a browser: time until each is usable, rows in the document, and the cost of open pages."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from tests.benchmarks.figures import percentile
from tests.benchmarks.full_house import BUSY, DRIFT, EACH_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, Page

    from tests.benchmarks.full_house import FullHouse

OPENED = 5
PAGES = 10
WATCHED = 60.0
"""Seconds for which the daemon is measured beside open pages, and without."""
SETTLES = 75.0
"""Seconds until nothing is done any more for pages that were closed."""
USABLE = """at => document.querySelector("main h1") !== null && document.querySelector(at) !== null
    && !/^Loading /m.test(document.querySelector("main").innerText)"""
"""What is asked for has arrived, and is shown: nothing says that it is loading."""
SCREENS: Mapping[str, tuple[str, str]] = {
    "now": ("/", "main a[href*='/rules/'], main section"),
    "rules": ("/rules", ".found td.rule a"),
    "rules of a team": ("/rules?team=team-7", ".found td.rule a"),
    "rule": (f"/rules/{BUSY}", "svg.chart"),
    "rule with values": (f"/rules/{DRIFT}", "svg.chart"),
    "rule with values, month": (f"/rules/{DRIFT}?zoom=month", "svg.chart"),
    "keys": (f"/rules/{EACH_KEY}?tab=keys", "main table tbody tr"),
    "runs": ("/runs", "main table tbody tr"),
    "runs of a rule": (f"/runs?rule={BUSY}", "main table tbody tr"),
    "run": ("/runs/RUN", "main table, main section"),
    "events": ("/events", "main table tbody tr"),
    "dead letters": ("/events?tab=dead-letters", "main"),
    "sources": ("/sources", "main table tbody tr"),
    "source": ("/sources/push", "main section"),
    "upcoming": ("/upcoming", "main table tbody tr"),
    "upcoming, month": ("/upcoming?horizon=month", "main table tbody tr"),
    "limits": ("/limits", "main section"),
    "activity": ("/activity", "main table tbody tr"),
    "what if": (f"/what-if?rule={BUSY}", "main form"),
}


@contextmanager
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(house: FullHouse, chromium: Browser) -> dict[str, dict[str, Any]]:
    """Open each screen in a page of its own: milliseconds from the navigation until it is usable, and its rows."""
    run = house.get(f"/api/v1/runs?rule={BUSY}&limit=1")["items"][0]["id"]
    found = {}
    for name, (path, shows) in SCREENS.items():
        times, rows, requests = [], 0, 0
        for _ in range(OPENED):
            context = chromium.new_context(viewport={"width": 1200, "height": 800})
            page = context.new_page()
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            began = time.perf_counter()
            page.goto(f"http://127.0.0.1:{house.port}/ui{path.replace('RUN', run)}", wait_until="commit")
            page.wait_for_function(USABLE, arg=shows, polling=10, timeout=60_000)
            times.append(1000 * (time.perf_counter() - began))
            rows = max(rows, _rows(page))
            requests = len([url for url in asked if "/api/" in url])
            context.close()
        found[name] = {
            "p50_ms": round(percentile(times, 0.5)),
            "max_ms": round(max(times)),
            "rows": rows,
            "requests": requests,
        }
    return found


def _rows(page: Page) -> int:
    rows = page.evaluate("document.querySelectorAll('tr, li').length")
    assert isinstance(rows, int)
    return rows


def beside(house: FullHouse, chromium: Browser) -> dict[str, float]:
    """The daemon's processor time (percent of a core) and memory (MiB) beside ten open pages, and before that."""
    time.sleep(SETTLES)
    alone, before = _share(house), house.resident_mib()
    contexts = [chromium.new_context() for _ in range(PAGES)]  # each has a stream of its own, as browsers of ten people
    for context, (path, _) in zip(contexts, (SCREENS["now"], SCREENS["rules"], SCREENS["rule"]) * PAGES, strict=False):
        context.new_page().goto(f"http://127.0.0.1:{house.port}/ui{path}", wait_until="load")
    time.sleep(5)
    open_, after = _share(house), house.resident_mib()
    for context in contexts:
        context.close()
    found = {"alone_percent": alone, "open_percent": open_, "alone_mib": before, "open_mib": after}
    return {name: round(value, 2) for name, value in found.items()}


def _share(house: FullHouse) -> float:
    used = house.cpu_seconds()
    time.sleep(WATCHED)
    return 100 * (house.cpu_seconds() - used) / WATCHED
