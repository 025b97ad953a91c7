"""The list of rules: searched, filtered, marked, acted upon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import AXE

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import House, Visit


def names(page: Page) -> list[str]:
    """The rules of the table, from top to bottom."""
    return page.locator(".found td.rule a").all_inner_texts()


def paused(house: House) -> set[str]:
    return {rule["name"] for rule in house.http.get("/api/v1/rules").json()["items"] if rule["paused"]}


def press(page: Page, button: str) -> Locator:
    """Press a button of what is done with marked rules, and return its dialog."""
    page.get_by_role("group", name="Acts on the rules").get_by_role("button", name=button).click()
    return page.get_by_role("dialog")


def test_what_needs_somebody_is_first_and_filters_are_in_the_address(house: House, visit: Visit) -> None:
    house.break_fraud()
    visitor = visit()
    page = visitor.go("/rules")
    visitor.shows("2 need somebody")
    assert names(page) == ["fraud", "churn"]
    page.get_by_label("Order").select_option("by name")
    expect(page.locator(".found td.rule a")).to_have_text(["churn", "fraud"])
    page.get_by_role("group", name="Reason").get_by_role("button", name="circuit open").click()
    visitor.shows("1 rule found")
    assert names(page) == ["fraud"]
    assert "reason=circuit_open" in page.url
    page.reload()
    visitor.shows("1 rule found")
    page.get_by_role("searchbox").fill("zzz")
    visitor.shows("No rule meets all of this.")
    page.get_by_role("link", name="Show all rules").click()
    visitor.shows("2 rules")


def test_marked_rules_are_paused_after_a_preview_and_resumed(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules")
    visitor.shows("None marked")
    page.get_by_label("Mark churn").check()
    page.get_by_role("button", name="Mark all 2").click()
    visitor.shows("2 marked")
    dialog = press(page, "Pause …")
    visitor.shows("This would be: 2 paused.")
    assert paused(house) == set()
    dialog.get_by_label("Reason, shown with the rules").fill("incident 7")
    dialog.get_by_role("button", name="Pause 2 rules").click()
    visitor.shows("2 paused.")
    dialog.get_by_role("button", name="Close").click()
    assert paused(house) == {"churn", "fraud"}
    page.locator(".found tr", has_text="churn").get_by_text("paused", exact=True).wait_for()
    page.get_by_label("Mark fraud").uncheck()
    dialog = press(page, "Resume …")
    dialog.get_by_role("button", name="Resume 1 rule").click()
    visitor.shows("1 resumed.")
    assert paused(house) == {"fraud"}
    acts = house.http.get("/api/v1/activity").json()["items"]
    assert [(act["act"], act["by"], act["rule"]) for act in acts[:3]] == [
        ("resume", "ops", "churn"), ("pause", "ops", "fraud"), ("pause", "ops", "churn"),
    ]  # fmt: skip


def test_what_is_refused_is_said_and_the_others_are_triggered(house: House, visit: Visit) -> None:
    rules = house.folder / "rules/rules.yaml"
    rules.write_text(rules.read_text().replace("- name: fraud\n", "- name: fraud\n    mode: shadow\n"))
    house.http.post("/-/reload").raise_for_status()
    visitor = visit()
    page = visitor.go("/rules")
    page.get_by_role("button", name="Mark all 2").click()
    dialog = press(page, "Trigger …")
    visitor.shows("This would be:")
    visitor.shows("1 refused")
    assert house.runs("churn", "SUCCEEDED") == []
    dialog.get_by_role("button", name="Trigger 2 rules").click()
    visitor.shows("1 triggered, 1 refused")
    assert "mode shadow" in dialog.inner_text()
    house.ends("churn", "SUCCEEDED", 1)
    assert house.http.get("/api/v1/runs?rule=fraud").json()["items"] == []


def test_rows_are_walked_marked_and_opened_by_keys(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules")
    visitor.shows("None marked")
    for key in ("j", "j", "k", " "):
        page.keyboard.press(key)
    visitor.shows("1 marked")
    assert page.get_by_label("Mark churn").is_checked()
    page.keyboard.press("Enter")
    visitor.shows("Why, now")
    assert page.url.endswith("/rules/churn")
    page.go_back()
    visitor.shows("None marked")
    page.keyboard.press("/")
    page.keyboard.type("zzz")
    visitor.shows("No rule meets all of this.")


def test_rows_stay_where_they_are_while_somebody_points_at_them(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules")
    visitor.shows("None marked")
    assert names(page) == ["churn", "fraud"]
    page.get_by_label("Mark churn").hover()
    house.break_fraud()
    visitor.shows("The order has changed.")
    page.locator(".found tr", has_text="fraud").get_by_text("circuit open", exact=True).wait_for()
    assert names(page) == ["churn", "fraud"]
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".found td.rule a")).to_have_text(["fraud", "churn"])


def test_who_only_reads_marks_nothing(house: House, visit: Visit) -> None:
    visitor = visit("board")
    page = visitor.go("/rules")
    visitor.shows("2 rules")
    assert names(page) == ["churn", "fraud"]
    assert page.get_by_role("checkbox").count() == 0
    assert page.get_by_role("button", name="Pause …").count() == 0
    answer = page.request.post(f"{visitor.url}/api/v1/rule-acts", data={"act": "pause", "rules": ["churn"]})
    assert answer.status == 403


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 320])
def test_the_list_and_its_dialog_are_accessible_and_fit(house: House, visit: Visit, theme: str, width: int) -> None:
    visitor = visit(theme=theme, width=width)
    page = visitor.go("/rules")
    page.get_by_role("button", name="Mark all 2").click()
    visitor.shows("2 marked")
    page.evaluate(AXE.read_text())
    for _ in range(2):
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if page.get_by_role("dialog").count() == 0:
            press(page, "Pause …")
            visitor.shows("This would be: 2 paused.")
