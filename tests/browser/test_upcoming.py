"""What runs next, and what limits hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import AXE, House
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.conftest import Visit

RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push, format: cloudevents}}
pools: {gpu: 1}
budgets: {team: {runs: 3, per: 1d}}
calendars: {freeze: {dates: [0001-01-01/9999-12-31]}}
defaults: {submit: {workflow_template: train}}
rules:
  - {name: berlin, triggers: {nightly: {schedule: {cron: "0 3 * * *", timezone: Europe/Berlin}}}}
  - {name: frozen, triggers: {nightly: {schedule: {cron: "0 3 * * *"}}}, limits: {mute: [freeze]}}
  - {name: one, triggers: {nightly: {schedule: {cron: "0 3 * * *"}}}, limits: {pool: gpu}}
  - {name: two, triggers: {nightly: {schedule: {cron: "0 3 * * *"}}}, limits: {pool: gpu, priority: 1}}
  - name: rested
    triggers: {d: {data: {source: push, match: {kind: file}}}}
    limits: {cooldown: {period: 12h}, budget: team}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, rules=RULES)
    yield house
    house.close()


def test_the_agenda_says_what_comes_and_what_would_hold_it(house: House, visit: Visit) -> None:
    for number in range(2):
        house.push(f"f{number}", kind="file")
        house.ends("rested", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go("/limits")
    visitor.shows("Shared budgets")
    page.keyboard.press("g")
    page.keyboard.press("c")
    visitor.shows("pool gpu: 1 place taken by two")
    visitor.shows("03:00 Europe/Berlin")
    row = page.locator("tr", has_text="frozen")
    row.get_by_text("freeze").first.wait_for()
    row.get_by_text("held").first.wait_for()
    page.locator("tr", has_text="cooldown").get_by_text("rested").wait_for()
    page.get_by_label("Kind").select_option("cooldown")
    page.wait_for_url("**kind=cooldown**")
    until(lambda: page.locator("tbody tr").count() == 1, "one row is left")
    page.get_by_label("Kind").select_option("")
    page.get_by_label("Within").select_option("week")
    page.wait_for_url("**horizon=week**")
    until(lambda: page.locator("main section").count() >= 7, "there is a section for each day")
    page.get_by_label("Rule").fill("none-such")
    page.keyboard.press("Enter")
    visitor.errors.clear()  # the browser logs the 404, which the page shows
    visitor.shows("there is no rule 'none-such'")
    visitor.errors.clear()
    visitor.go("/upcoming?kind=deadline")
    visitor.shows("No deadline is due for any rule in this time.")


def test_limits_say_who_holds_who_waits_and_what_is_left(house: House, visit: Visit) -> None:
    house.push("f0", kind="file")
    house.ends("rested", "SUCCEEDED", 1)
    house.push("f1", kind="file")
    visitor = visit()
    page = visitor.go("/limits")
    visitor.shows("0 of 1 place taken")
    visitor.shows("1 of 3 runs in 1d")
    visitor.shows("holds runs of")
    row = page.locator("tr", has_text="rested")
    row.get_by_text("cooldown").first.wait_for()
    page.get_by_role("link", name="rested").last.click()
    visitor.shows("Why, now")


def test_without_a_leader_the_screens_say_that_nothing_is_decided(
    house: House, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = visit()
    page = visitor.go("/upcoming")
    visitor.shows("03:00 Europe/Berlin")
    assert page.get_by_role("alert").count() == 0
    monkeypatch.setattr(house.app.engine, "standby", "this replica is a standby")
    page.get_by_role("alert").get_by_text("No replica decides").wait_for()
    page.get_by_role("link", name="Limits").click()
    visitor.shows("Shared budgets")
    page.get_by_role("alert").get_by_text("No replica decides").wait_for()
    monkeypatch.undo()
    page.get_by_role("alert").wait_for(state="detached")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/upcoming", "/upcoming?rule=berlin&horizon=month", "/limits"])
def test_accessible_and_narrow(house: House, visit: Visit, theme: str, path: str) -> None:
    house.push("f0", kind="file")
    house.ends("rested", "SUCCEEDED", 1)
    visitor = visit("board", width=320, theme=theme)
    page = visitor.go(path)
    visitor.shows("berlin" if "upcoming" in path else "of 3 runs")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
