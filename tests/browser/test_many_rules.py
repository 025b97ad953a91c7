"""The list of 10,000 rules: few requests and few rows, whatever is scrolled, searched, marked or walked by keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import House
from tests.browser.test_rules import names, press

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.browser.conftest import Visit

RULES = 10_000
PATIENCE = 120_000
"""Milliseconds on a busy machine. How long it takes is measured in tests/benchmarks/page.py, not here."""
MOST_ROWS = 200
FIRST_REQUESTS = 6
"""Those of the frame, the facets, and the first hundred rules."""


def _rule(number: int) -> dict[str, object]:
    data = {"source": "push", "match": {"model": f"m-{number}"}, "batch": {"at_least": {"events": 100}}}
    triggers = {"new": {"data": data}, "old": {"freshness": {"max_age": "7d"}}}
    return {
        "name": f"rule-{number:05d}",
        "labels": {"team": f"team-{number % 20}"},
        "triggers": {**triggers, "yearly": {"schedule": {"cron": "0 3 1 1 *"}}},
        "submit": {"workflow_template": "train"},
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    sources = {"push": {"type": "webhook", "path": "/hooks/push", "format": "cloudevents"}}
    rules = {"version": 1, "sources": sources, "rules": [_rule(number) for number in range(RULES)]}
    house = House(tmp_path_factory.mktemp("many"), rules=orjson.dumps(rules).decode())
    yield house
    house.close()


def rows(page: Page) -> int:
    count = page.locator("tr").count()
    assert 0 < count <= MOST_ROWS
    return count


def shows(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)


def test_the_list_asks_little_and_draws_little_down_to_its_end(house: House, visit: Visit) -> None:
    asked: list[str] = []
    visitor = visit()
    visitor.page.on("request", lambda request: asked.append(request.url) if "/api/v1/rule" in request.url else None)
    page = visitor.go("/rules?order=name")
    shows(page, "10,000 rules")
    expect(page.locator(".found td.rule a").first).to_have_text("rule-00000", timeout=PATIENCE)
    assert len(asked) <= FIRST_REQUESTS
    rows(page)
    page.get_by_role("searchbox").fill("rule-099")
    shows(page, "100 rules found")
    page.get_by_role("searchbox").fill("rule-09")
    shows(page, "1,000 rules found")
    last = page.locator(".found td.rule a", has_text=re.compile("^rule-09999$"))
    for _ in range(200):
        if last.count():
            break
        page.mouse.wheel(0, 20_000)
        before = names(page)[-1:] or [""]  # while rows are asked for, none is drawn
        page.wait_for_function(
            "last => document.querySelector('.found tr:last-child td.rule a')?.innerText !== last",
            arg=before[0],
            timeout=PATIENCE,
        )
        rows(page)
    expect(last).to_be_visible(timeout=PATIENCE)
    rows(page)


def test_all_that_match_are_marked_and_paused_after_a_preview(house: House, visit: Visit) -> None:
    page = visit().go("/rules?name=rule-000")
    shows(page, "100 rules found")
    page.get_by_role("searchbox").fill("rule-00")
    shows(page, "1,000 rules found")
    page.get_by_role("button", name="Mark all 1,000").click()
    shows(page, "1,000 marked")
    dialog = press(page, "Pause …")
    shows(page, "This would be: 1,000 paused.")
    assert _paused(house) == 0
    dialog.get_by_role("button", name="Pause 1,000 rules").click()
    expect(page.get_by_text("1,000 paused.", exact=True)).to_be_visible(timeout=PATIENCE)
    assert _paused(house) == 1000
    dialog.get_by_role("button", name="Close").click()
    rows(page)


def _paused(house: House) -> int:
    counts = house.http.get("/api/v1/rule-facets", params={"name": "rule-00", "mode": "paused"}).json()
    total = counts["total"]
    assert isinstance(total, int)
    return total


def test_keys_walk_over_rows_that_are_not_drawn(house: House, visit: Visit) -> None:
    page = visit().go("/rules?order=name&name=rule-05")
    shows(page, "1,000 rules found")
    expect(page.locator(".found td.rule a").first).to_have_text("rule-05000", timeout=PATIENCE)
    for _ in range(60):
        page.keyboard.press("j")
    for _ in range(10):
        page.keyboard.press("k")
    reached = page.locator(".found tr", has=page.get_by_text("rule-05049", exact=True))
    expect(reached).to_be_in_viewport(timeout=PATIENCE)
    assert "rule-05000" not in names(page)
    rows(page)
    page.keyboard.press(" ")
    shows(page, "1 marked")
    page.keyboard.press("Enter")
    page.wait_for_url("**/rules/rule-05049", timeout=PATIENCE)
