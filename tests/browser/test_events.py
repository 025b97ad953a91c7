"""Events and dead letters in the browser: searched, narrowed, previewed, replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.browser.conftest import AXE, RULES
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import House, Visit, Visitor

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\u202egnp"
POISON = RULES.replace("match: {kind: payment}", "match: {kind: payment}, where: event.data.amount > 10")


def poison(house: House, *identities: str, **data: object) -> None:
    """Let `fraud` fail on payments without an amount."""
    reload(house, POISON)
    for identity in identities:
        house.push(identity, kind="payment", **data)
    until(lambda: len(letters(house)) >= len(identities), "they are dead letters")


def reload(house: House, rules: str) -> None:
    (house.folder / "rules/rules.yaml").write_text(rules)
    house.http.post("/-/reload").raise_for_status()


def letters(house: House) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = house.http.get("/api/v1/dead-letters", params={"limit": 500}).json()["items"]
    return items


def check(visitor: Visitor) -> None:
    """Accessible, and not wider than the window."""
    visitor.page.evaluate(AXE.read_text())
    found = visitor.page.evaluate("axe.run()")["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_poison_is_found_previewed_and_replayed_after_its_rule_was_mended(house: House, visit: Visit) -> None:
    poison(house, "p1", "p2")
    visitor = visit()
    page = visitor.go("/events")
    visitor.shows("2 dead lettered")
    page.get_by_role("tab", name="Dead letters").click()
    page.get_by_role("link", name="1", exact=True).click()
    visitor.shows("no field 'amount'")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Replay …").last.click()
    dialog.get_by_text("2 would stay dead letters").wait_for()
    dialog.get_by_text("(still)").first.wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    assert len(letters(house)) == 2
    reload(house, RULES)
    page.get_by_role("button", name="Replay …").last.click()
    dialog.get_by_text("fraud: fire").first.wait_for()
    assert house.runs("fraud", "FAILED") == []
    dialog.get_by_role("button", name="Replay dead letters").click()
    dialog.get_by_text("2 dead letters replayed, 0 kept.").wait_for()
    dialog.get_by_role("button", name="Close").click()
    visitor.shows("There are no dead letters: all input could be processed.")
    house.ends("fraud", "FAILED", 1)
    page = visitor.go("/events?text=tests+p1")
    visitor.shows("input of")


def test_selected_letters_and_those_that_match_are_discarded_after_a_count(house: House, visit: Visit) -> None:
    poison(house, "a", "b", "c")
    visitor = visit()
    page = visitor.go("/events?tab=dead-letters")
    page.get_by_role("checkbox", name="Select dead letter 2").check()
    page.get_by_role("button", name="Discard …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("1 dead letter with").wait_for()
    dialog.get_by_role("button", name="Discard dead letters").click()
    dialog.get_by_text("1 dead letter deleted.").wait_for()
    dialog.get_by_role("button", name="Close").click()
    until(lambda: [letter["id"] for letter in letters(house)] == [3, 1], "the selected one is gone")
    page.get_by_label("Reason").select_option("unreadable")
    visitor.shows("No dead letter is so.")
    assert "reason=unreadable" in page.url
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Reason").select_option("raised")
    page.get_by_role("button", name="Discard …").click()
    dialog.get_by_text("2 dead letters with").wait_for()
    dialog.get_by_role("button", name="Discard dead letters").click()
    dialog.get_by_text("2 dead letters deleted.").wait_for()
    assert letters(house) == []


def test_a_reader_sees_letters_and_presses_nothing(house: House, visit: Visit) -> None:
    poison(house, "a")
    visitor = visit("board")
    page = visitor.go("/events?tab=dead-letters&letter=1")
    visitor.shows("a token needs the verb")
    visitor.shows("no field 'amount'")
    assert page.get_by_role("button", name="Replay …").count() == 0
    assert page.get_by_role("checkbox").count() == 0


def test_filters_are_in_the_address_and_an_event_leads_to_its_run_and_its_rules(house: House, visit: Visit) -> None:
    for number in range(3):
        house.push(f"f{number}", kind="file", subject=f"file-{number}")
    house.push("odd", kind="nothing")
    house.ends("churn", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go("/events")
    visitor.shows("3 matched")
    page.get_by_label("Outcome").select_option("matched")
    page.get_by_text("odd", exact=True).wait_for(state="detached")
    assert "outcome=matched" in page.url
    page.get_by_role("link", name="1", exact=True).click()
    visitor.shows("SUCCEEDED")
    page.get_by_role("link", name="try on churn").wait_for()
    assert page.get_by_role("link", name="try on churn").get_attribute("href") == "/ui/rules/churn?tab=try&event=1"
    page.get_by_text("Try it on another rule").click()
    page.get_by_role("link", name="fraud", exact=True).wait_for()


def test_a_bar_of_the_strip_narrows_the_period_by_mouse_and_by_key(house: House, visit: Visit) -> None:
    house.push("f0", kind="file")
    visitor = visit()
    page = visitor.go("/events")
    page.locator(".strip .bucket").first.click()
    page.wait_for_url("**since=*until=*")
    visitor.shows("1 event")
    page.go_back()
    strip = page.get_by_role("slider")
    strip.focus()
    page.keyboard.press("ArrowLeft")
    assert "1 event" in (strip.get_attribute("aria-valuetext") or "")
    page.keyboard.press("Enter")
    page.wait_for_url("**since=*until=*")


def test_new_events_are_announced_while_rows_are_looked_at(house: House, visit: Visit) -> None:
    house.push("f0", kind="file")
    visitor = visit()
    page = visitor.go("/events")
    row = page.get_by_role("row", name="f0")
    row.hover()
    before = row.bounding_box()
    house.push("f1", kind="other")
    house.push("f2", kind="other")
    visitor.shows("2 new events.")
    assert row.bounding_box() == before
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("row", name="f2").wait_for()
    page.mouse.move(5, 5)
    page.wait_for_timeout(1600)
    house.push("f3", kind="other")
    page.get_by_role("row", name="f3").wait_for(timeout=15_000)


def listed(page: Page) -> int:
    """Return how many rows a table has. Of more than a hundred only those in sight are drawn."""
    table = page.locator("table").last
    total = table.get_attribute("aria-rowcount")
    return table.locator("tbody tr").count() if total is None else int(total) - 1


def test_a_long_list_is_read_on_and_never_has_more_than_200_rows(house: House, visit: Visit) -> None:
    for number in range(260):
        house.push(f"e{number}", kind="other")
    visitor = visit()
    page = visitor.go("/events")
    for count in (100, 150, 200):
        page.get_by_role("button", name="More events").click()
        until(lambda count=count: listed(page) == count, f"{count} rows are listed")
    page.get_by_role("button", name="More events").click()
    visitor.shows("These are not the newest.")
    assert page.locator("tbody tr").count() <= 50
    page.get_by_role("button", name="Back to the newest").click()
    page.get_by_role("row", name="e259").wait_for()


@pytest.mark.parametrize(
    "screen", ["/events", "/events?text=ID", "/events?event=1", "/events?tab=dead-letters&letter=1"]
)
@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (1200, "dark")])
def test_screens_are_accessible_and_what_senders_write_is_text(
    house: House, visit: Visit, screen: str, width: int, theme: str
) -> None:
    poison(house, f"1{EVIL}", note=EVIL, subject=f"s {EVIL}")
    house.push("f0", kind="file", subject=EVIL)
    visitor = visit(width=width, theme=theme)
    identity = house.http.get("/api/v1/events").json()["items"][-1]["id"]
    page = visitor.go(screen.replace("ID", quote(identity, safe="")))
    page.wait_for_load_state("networkidle")
    visitor.shows("\\u202egnp")
    assert page.title() == "retrainer"
    check(visitor)
