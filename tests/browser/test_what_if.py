"""What if: a threshold is moved, its effect is seen, and the change is kept as a shadow rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.browser.conftest import AXE, RULES

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import House, Visit

SLOW = 60_000


def furnish(house: House) -> None:
    for number, value in enumerate((0.05, 0.15, 0.02)):
        house.push(f"psi-{number}", kind="psi", value=value)
    for number in range(4):
        house.push(f"file-{number}", kind="file")
    house.ends("churn", "SUCCEEDED", 1)


def is_accessible(page: Page) -> None:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert found == [], [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def test_a_threshold_is_moved_and_kept_as_a_shadow_rule(house: House, visit: Visit) -> None:
    furnish(house)
    visitor = visit("board")  # reads only
    page = visitor.go("/rules/churn")
    page.get_by_role("main").get_by_role("link", name="What if").click()
    page.get_by_text("As it is, the rule starts 1 run in this time").wait_for(timeout=SLOW)
    page.get_by_text("makes exactly the runs that are recorded: 1.").wait_for()
    above = page.get_by_label("drift: above", exact=True)
    assert above.input_value() == "0.2"
    above.fill("0.12")
    above.press("Enter")
    page.get_by_text("Changed, the rule starts 2 runs in this time, 1 more than now.").wait_for(timeout=SLOW)
    page.get_by_role("cell", name="hold ").first.wait_for()
    is_accessible(page)
    address = page.url
    page.get_by_role("button", name="Keep as shadow rule").click()
    difference = page.get_by_label("Difference of the file with the shadow rule").inner_text()
    added = "\n".join(line[1:] for line in difference.splitlines() if line.startswith("+") and line[:3] != "+++")
    (rule,) = yaml.safe_load(added)
    assert (rule["name"], rule["mode"], rule["triggers"]["drift"]["metric"]["above"]) == (
        "churn-what-if",
        "shadow",
        0.12,
    )
    assert (house.folder / "rules/rules.yaml").read_text() == RULES

    other = visit()
    other.page.goto(address)  # who gets the address sees the same
    other.page.get_by_text("Changed, the rule starts 2 runs in this time").wait_for(timeout=SLOW)


def test_a_slider_is_moved_by_keys_and_the_way_back_is_one_press(house: House, visit: Visit) -> None:
    furnish(house)
    page = visit().go("/what-if?rule=churn")
    slider = page.get_by_label("files: at least events, slider")
    slider.focus()
    slider.press("ArrowLeft")
    slider.press("Tab")
    page.wait_for_url("**set=*")
    assert page.get_by_label("files: at least events", exact=True).input_value() == "2"
    page.get_by_text("Changed, the rule starts").wait_for(timeout=SLOW)
    page.get_by_role("button", name="As it is").click()
    page.get_by_text("Move a number to compare").wait_for(timeout=SLOW)


def test_a_value_that_is_not_valid_is_told_and_the_rule_is_chosen_by_name(house: House, visit: Visit) -> None:
    furnish(house)
    visitor = visit()
    page = visitor.go("/what-if")
    page.get_by_label("Name").fill("chu")
    page.get_by_role("link", name="churn").click()
    page.get_by_text("As it is, the rule starts 1 run").wait_for(timeout=SLOW)
    page.get_by_text("more numbers, by default").click()
    field = page.get_by_label("cooldown period", exact=True)
    field.fill("soon")
    field.press("Enter")
    page.get_by_text("not a duration").wait_for(timeout=SLOW)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_what_if_is_accessible_and_needs_no_sideways_scrolling(
    house: House, visit: Visit, theme: str, width: int
) -> None:
    furnish(house)
    visitor = visit(width=width, theme=theme)
    page = visitor.go("/what-if?rule=churn&set=triggers.drift.metric.above%3D0.12")
    page.get_by_text("Changed, the rule starts 2 runs").wait_for(timeout=SLOW)
    is_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
