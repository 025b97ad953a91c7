"""Every screen, of an empty daemon and of a story of two teams.

With PICTURES=folder, a picture of each is written there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import AXE, House, Visitor
from tests.browser.story import StoryHouse, address, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

WCAG = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
SCREENS = {
    "now": "/",
    "rules": "/rules",
    "runs": "/runs",
    "events": "/events",
    "dead-letters": "/events?tab=dead-letters",
    "sources": "/sources",
    "what-if": "/what-if",
    "upcoming": "/upcoming?horizon=day",
    "limits": "/limits",
    "activity": "/activity",
    "none": "/none",
}
DETAILS = {
    "rule": "/rules/churn",
    "rule-week": "/rules/churn?zoom=week",
    "rule-circuit": "/rules/fraud",
    "rule-past": "/rules/churn?at=2026-03-03T20:00:00.000Z",
    "rule-data": "/rules/churn?tab=data",
    "rule-runs": "/rules/churn?tab=runs",
    "rule-upcoming": "/rules/credit-score?tab=upcoming",
    "rule-requests": "/rules/churn?tab=requests",
    "rule-configuration": "/rules/churn?tab=configuration",
    "rule-tests": "/rules/churn?tab=tests",
    "rule-event": "/rules/churn?tab=try-an-event",
    "run": "/runs/{churn}",
    "run-failed": "/runs/{fraud}",
    "run-running": "/runs/{recommend}",
    "run-waiting": "/runs/{search-ranking}",
    "compare": "/runs/compare?run={churn}&run={credit-score}",
    "event": "/events?text=chargebacks-2/0",
    "source": "/sources/lake",
    "rule-what-if": "/what-if?rule=churn",
}
WIDE = "() => [document.documentElement.scrollWidth, innerWidth]"
MOVING = """() => [...document.querySelectorAll("*")].filter((each) => {
  const { transitionDuration, animationName } = getComputedStyle(each);
  return transitionDuration !== "0s" || animationName !== "none";
}).map((each) => each.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("empty"), rules="version: 1\n")
    yield house
    house.close()


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoryHouse]:
    house = StoryHouse(tmp_path_factory.mktemp("normal"))
    tell(house)
    yield house
    house.close()


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[House, Visitor]]:
    """A daemon that is empty or normal, and somebody who looks at it."""
    house: House = request.getfixturevalue(request.param)
    context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
    visitor = Visitor(context, house.app.web.url, house.time if isinstance(house, StoryHouse) else None)
    yield house, visitor.sign_in("ops")
    context.close()


def _violations(page: Page, rules: list[str]) -> list[tuple[str, list[str]]]:
    found = page.evaluate("(runOnly) => axe.run(document, {resultTypes: ['violations'], runOnly})", rules)
    return [(each["id"], [node["html"][:300] for node in each["nodes"]]) for each in found["violations"]]


def _picture(page: Page, name: str) -> None:
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


CASES = [
    pytest.param(state, screen, id=f"{state}-{screen}")
    for state in ("empty", "normal")
    for screen in (SCREENS if state == "empty" else SCREENS | DETAILS)
]


@pytest.mark.parametrize(("place", "screen"), CASES, indirect=["place"])
def test_accessible_in_both_themes_calm_and_never_wider_than_the_window(
    place: tuple[House, Visitor], screen: str, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    house, visitor = place
    page = visitor.page
    visitor.errors.clear()
    page.set_default_timeout(15_000)
    page.emulate_media(color_scheme="light")
    visitor.go(address(house.http, (SCREENS | DETAILS)[screen]))
    visitor.complete()
    page.evaluate(AXE.read_text())
    assert _violations(page, WCAG) == []
    _picture(page, f"{name}-light")
    assert page.evaluate(MOVING) == []
    assert page.locator("tbody tr").count() <= 200
    page.emulate_media(color_scheme="dark")
    assert _violations(page, ["color-contrast"]) == []
    _picture(page, f"{name}-dark")
    for width in (600, 320):  # 600: a window of 1200 with a zoom of 200 %
        page.set_viewport_size({"width": width, "height": 800})
        needed, there = page.evaluate(WIDE)
        assert needed <= there, f"{width} px"
    _picture(page, f"{name}-320")
    page.set_viewport_size({"width": 1200, "height": 800})
    assert visitor.errors == []
