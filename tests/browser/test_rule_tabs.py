"""The tabs of the Rule screen: its text, what an edit would do, its data and keys, and what an event would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import AXE

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import House, Visit, Visitor

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\u202egnp"
NIGHTLY = """    submit: {workflow_template: train}
  - name: nightly
    triggers: {night: {schedule: {cron: "0 2 * * *"}}}
    submit: {workflow_template: train}
"""
KEYED = """    submit: {workflow_template: train}
  - name: keyed
    for_each: {by: {clicks: event.data.user}}
    triggers: {clicks: {data: {source: push, match: {kind: click}, batch: {at_least: {events: 2}}}}}
    submit: {workflow_template: train}
"""


def edit(house: House, old: str, new: str) -> None:
    """Change the rule file, and load it."""
    file = house.folder / "rules/rules.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    house.http.post("/-/reload").raise_for_status()


def good(page: Page) -> None:
    """No violation of axe, no sideways scrolling, and nothing of a sender was executed."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.title() != "owned"


def refused(visitor: Visitor) -> None:
    """Forget that the console reported requests that the service refused, as they were meant to be."""
    assert [error for error in visitor.errors if "the server responded with a status of 4" not in error] == []
    visitor.errors.clear()


def test_the_configuration_is_the_text_of_the_file_and_differs_from_that_of_a_run(house: House, visit: Visit) -> None:
    edit(house, "  - name: churn\n", f"  # {EVIL}\n  - name: churn\n")
    house.http.post("/api/v1/rules/churn/trigger", json={}).raise_for_status()
    house.ends("churn", "SUCCEEDED", 1)
    run = house.runs("churn", "SUCCEEDED")[0]
    edit(house, "at_least: {events: 3}", "at_least: {events: 4}")
    visitor = visit()
    page = visitor.go(f"/rules/churn?tab=configuration&run={run}")
    visitor.shows("was made with revision")
    lines = page.get_by_label("The text of the rule").inner_text()
    assert "at_least: {events: 4}" in lines
    assert "onerror" in lines
    assert "\\u202egnp" in lines
    changed = page.get_by_role("region", name="From revision").inner_text()
    assert "events: 3" in changed
    assert "events: 4" in changed
    good(page)


def test_an_edited_copy_says_what_is_wrong_and_changes_nothing(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules/churn?tab=configuration")
    page.get_by_role("button", name="Edit a copy").click()
    area = page.get_by_label("A copy of the rule")
    text = area.input_value()
    visitor.shows("The text is valid, and means the same as what is in force.")
    area.fill(text.replace("above: 0.2", "abve: 0.2"))
    visitor.shows("did you mean")
    page.get_by_role("button", name="Go to line").first.click()
    assert area.evaluate("area => area.value.slice(area.selectionStart)").startswith("abve")
    good(page)
    area.fill(text.replace("above: 0.2", "above: 0.3").replace("kind: psi", "kind: other"))
    visitor.shows("Loading it drops the state of the trigger drift")
    assert "above: 0.3" in page.get_by_role("region", name="What the copy changes").inner_text()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the text").click()
    visitor.shows("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == area.input_value()
    assert "above: 0.3" not in house.http.get("/api/v1/rules/churn/source").json()["text"]


def test_an_event_that_nearly_matches_is_tried_condition_by_condition(house: House, visit: Visit) -> None:
    house.push("near", kind="files", subject="lake/1", note=EVIL)
    visitor = visit()
    page = visitor.go("/rules/churn?tab=try-an-event")
    visitor.shows("This is event")
    row = page.get_by_role("region", name="Conditions of files").get_by_role("row").filter(has_text="kind")
    row.get_by_text("fails").wait_for()
    visitor.shows("only one condition fails")
    good(page)
    area = page.get_by_label("The event, or only its data, as JSON")
    area.fill(area.input_value().replace('"files"', '"file"'))
    visitor.shows("counts it")
    area.fill('{"specversion": "1.0", "source": "elsewhere", "data": {"kind": "file"}}')
    visitor.shows("counts it")
    for wrong, why in (
        ("{", "This is not JSON"),
        ("[1]", "Write an event as a JSON object"),
        ('{"data": 7}', "must be a JSON object"),
    ):
        area.fill(wrong)
        page.get_by_role("alert").filter(has_text=why).wait_for()
    page.get_by_label("Number of a kept event").fill("999")
    page.keyboard.press("Enter")
    visitor.shows("there is no event 999")
    refused(visitor)
    assert house.http.get("/api/v1/runs").json()["items"] == []


def test_past_slots_are_run_after_a_dry_run_and_followed_to_their_end(house: House, visit: Visit) -> None:
    edit(house, "    submit: {workflow_template: train}\n", NIGHTLY)
    visitor = visit()
    page = visitor.go("/rules/nightly?tab=requests")
    visitor.shows("No backfill was requested")
    page.get_by_role("button", name="Backfill …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("From").fill("yesterdayish")
    dialog.locator(".preview .bad").wait_for()
    refused(visitor)
    dialog.get_by_label("From").fill("3d")
    dialog.get_by_text("3 runs").wait_for()
    assert house.http.get("/api/v1/runs").json()["items"] == []
    dialog.get_by_role("button", name="Request the runs").click()
    dialog.get_by_text("3 runs requested").wait_for()
    dialog.get_by_role("button", name="Close").click()
    house.ends("nightly", "SUCCEEDED", 3)
    visitor.shows("3 of 3 slots done: 3 succeeded.")
    good(page)


def test_waiting_runs_are_withdrawn(house: House, visit: Visit) -> None:
    edit(house, "    submit: {workflow_template: train}\n", NIGHTLY)
    house.http.post("/api/v1/rules/nightly/pause", json={}).raise_for_status()
    house.http.post("/api/v1/rules/nightly/backfills", json={"from": "3d"}).raise_for_status()
    visitor = visit()
    page = visitor.go("/rules/nightly?tab=requests")
    visitor.shows("3 waiting")
    page.get_by_role("button", name="Withdraw backfills …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("3 slots of a backfill").wait_for()
    dialog.get_by_role("button", name="Withdraw waiting backfills").click()
    dialog.get_by_text("3 dropped").wait_for()
    dialog.get_by_role("button", name="Close").click()
    visitor.shows("3 dropped")
    visitor.shows("No request waits.")


def test_what_is_pending_is_shown_with_its_events_as_they_arrive(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules/churn?tab=data")
    visitor.shows("No event is pending.")
    house.push("f0", kind="file", subject=EVIL)
    visitor.shows("1 of 3 events so far")
    page.get_by_role("region", name="Pending events").get_by_text("onerror").wait_for()
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("region", name="Events that matched").get_by_role("link", name="Try").click()
    visitor.shows("counts it")
    visitor.go("/rules/churn?tab=data&counted=1")
    page.get_by_role("region", name="Events that matched").wait_for()
    good(page)


def test_a_key_is_found_by_its_beginning_and_the_screen_is_then_about_it(house: House, visit: Visit) -> None:
    edit(house, "    submit: {workflow_template: train}\n", KEYED)
    evil = EVIL[:40]
    for user in ("anna", "anton", "berta", evil):
        house.push(f"k{user[:5]}", kind="click", user=user)
    visitor = visit()
    page = visitor.go("/rules/keyed?tab=keys")
    page.get_by_role("button", name="berta").wait_for()
    page.get_by_role("button", name="<img").wait_for()
    good(page)
    page.get_by_label("Keys that begin with").fill("an")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="berta").wait_for(state="detached")
    page.get_by_role("button", name="anton").click()
    assert "key=anton" in page.url
    page.locator(".verdict").filter(has_text="keyed[anton]").wait_for()
    page.get_by_role("tab", name="Data").click()
    visitor.shows("1 of 2 events so far")


def test_what_comes_is_that_of_the_agenda(house: House, visit: Visit) -> None:
    edit(house, "    submit: {workflow_template: train}\n", NIGHTLY)
    visitor = visit()
    page = visitor.go("/rules/nightly?tab=upcoming")
    page.get_by_role("region", name="What comes").get_by_text("schedule night").wait_for()
    page.get_by_label("Within").select_option("7 days")
    page.get_by_role("row").nth(7).wait_for()
    good(page)
    visitor.go("/rules/churn?tab=upcoming")
    visitor.shows("Nothing will happen by itself")


def test_a_test_is_made_from_the_last_run(house: House, visit: Visit) -> None:
    for number in range(3):
        house.push(f"f{number}", kind="file", subject=EVIL)
    house.ends("churn", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go("/rules/churn?tab=tests")
    visitor.shows("No test names this rule")
    assert "churn fires as for run" in page.get_by_label("An example of a test").inner_text()
    good(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_tabs_fit_a_phone_in_both_themes(house: House, visit: Visit, theme: str) -> None:
    edit(house, "version: 1\n", "version: 1\ndefaults: {labels: {team: ml}}\n")
    visitor = visit("board", width=320, theme=theme)
    tabs = {
        "configuration": "rules.yaml",
        "configuration&edit=1": "rules.yaml",
        "try-an-event": "the latest",
        "requests": "No request waits",
        "data": "No event is pending",
        "tests": "No test names",
        "upcoming": "Nothing will happen",
    }
    for tab, text in tabs.items():
        page = visitor.go(f"/rules/churn?tab={tab}")
        page.get_by_role("tabpanel").get_by_text(text).first.wait_for()
        good(page)
