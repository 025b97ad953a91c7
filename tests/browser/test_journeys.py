"""What somebody on call does with the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import AXE
from tests.waiting import until

if TYPE_CHECKING:
    from tests.browser.conftest import House, Visit

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\u202egnp"


def fire(house: House) -> str:
    """Let `churn` fire by three files, and return the id of its run."""
    for number in range(3):
        house.push(f"f{number}", kind="file", subject=f"file-{number}")
    house.ends("churn", "SUCCEEDED", 1)
    return house.runs("churn", "SUCCEEDED")[0]


def test_the_link_of_an_alert_shows_why_then_and_the_way_back_to_now(house: House, visit: Visit) -> None:
    run = fire(house)
    fired = next(d for d in house.http.get("/api/v1/decisions?rule=churn").json()["items"] if d["run"] == run)
    visitor = visit()
    page = visitor.go(f"/rules/churn?at={fired['first_at']}")
    visitor.shows("Why, then")
    visitor.shows("This is what was decided at")
    assert "fire: batch_complete" in page.locator(".verdict").inner_text()
    page.get_by_role("button", name="Back to now").click()
    visitor.shows("Why, now")
    assert "at=" not in page.url


def test_decisions_are_walked_by_keys_and_a_run_is_reached_from_its_decision(house: House, visit: Visit) -> None:
    run = fire(house)
    visitor = visit()
    page = visitor.go("/")
    visitor.shows("Last ended")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.get_by_role("link", name="churn").first.wait_for()
    page.get_by_role("link", name="churn").first.focus()
    page.keyboard.press("Enter")
    visitor.shows("Why, now")
    page.get_by_text("fire ·").first.wait_for()
    page.keyboard.press("[")
    visitor.shows("Why, then")
    page.keyboard.press("]")
    visitor.shows("Why, now")
    page.get_by_role("link", name=f"run {run[-6:]}").first.click()
    visitor.shows("SUCCEEDED")
    page.get_by_role("tab", name="Logs").click()
    visitor.shows("trained")
    page.get_by_role("tab", name="Inputs").click()
    visitor.shows("file-1")


def test_what_is_pending_grows_on_the_open_page(house: House, visit: Visit) -> None:
    visitor = visit()
    visitor.go("/rules/churn")
    visitor.shows("no data pending")
    house.push("f0", kind="file")
    visitor.shows("1 of 3 events: 2 events to go")
    house.push("drift", kind="psi", value=0.31, metric="psi", labels={"model": "churn"})
    visitor.shows("0.31 > 0.2: reached, clears at 0.1")


def test_a_circuit_that_failing_runs_opened_is_found_understood_and_closed(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/")
    visitor.shows("Nothing. All goes on by itself.")
    house.break_fraud()
    visitor.shows("circuit open")
    page.get_by_role("link", name="fraud").first.click()
    visitor.shows("2 of 2 failures in a row")
    page.get_by_role("button", name="Resume …").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume the rule").click()
    visitor.shows("The rule is active again.")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    visitor.shows("0 of 2 failures in a row")
    visitor.go("/activity")
    page.locator("tbody tr", has_text="resume").first.wait_for()
    assert "ops" in page.locator("tbody tr").first.inner_text()


def test_a_manual_run_is_confirmed_and_shown_only_once_it_exists(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules/churn")
    page.get_by_role("button", name="Trigger …").click()
    assert house.http.get("/api/v1/runs").json()["items"] == []
    page.get_by_role("dialog").get_by_role("button", name="Start a manual run").click()
    page.get_by_role("link", name="Show the run").click()
    visitor.shows("SUCCEEDED")
    (run,) = house.http.get("/api/v1/runs").json()["items"]
    assert run["id"] in page.url


def test_an_event_that_nearly_matched_says_which_condition_failed(house: House, visit: Visit) -> None:
    house.push("odd", kind="files", subject="lake/odd")
    visitor = visit()
    page = visitor.go("/events")
    page.get_by_role("searchbox").fill("lake/odd")
    page.keyboard.press("Enter")
    visitor.shows("only this failed")
    assert "kind" in page.get_by_role("row", name="churn").first.inner_text()


def test_a_token_that_only_reads_sees_all_and_presses_nothing(house: House, visit: Visit) -> None:
    fire(house)
    visitor = visit("board")
    page = visitor.go("/rules/churn")
    visitor.shows("Why, now")
    visitor.shows("board reads only")
    assert page.get_by_role("button", name="Trigger …").count() == 0
    assert page.get_by_role("button", name="Pause …").count() == 0


def test_a_rotated_token_leads_to_the_sign_in_and_back_to_the_same_screen(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules/churn")
    visitor.shows("Why, now")
    (house.folder / "ops").write_text("rotated")
    house.http.headers["authorization"] = "Bearer rotated"
    page.reload()
    page.get_by_label("Token").fill("rotated")
    page.get_by_role("button", name="Sign in").click()
    visitor.shows("Why, now")
    assert page.url.endswith("/ui/rules/churn")


@pytest.mark.parametrize("screen", ["/events", "/events?text=evil", "/rules/churn", "RUN"])
def test_what_senders_write_is_text(house: House, visit: Visit, screen: str) -> None:
    for number in range(3):
        house.push(f"{number}{EVIL}", kind="file", subject=f"{number} {EVIL}", note=EVIL)
    house.ends("churn", "SUCCEEDED", 1)
    run = house.runs("churn", "SUCCEEDED")[0]
    visitor = visit()
    text = house.http.get("/api/v1/events").json()["items"][0]["id"]
    visitor.go(screen.replace("RUN", f"/runs/{run}").replace("evil", text.replace("#", "%23")))
    visitor.page.wait_for_load_state("networkidle")
    assert visitor.page.title() == "retrainer"
    if screen.startswith("/events"):
        visitor.shows("\\u202egnp")
    assert visitor.page.locator("main img, main script").count() == 0


SCREENS = [
    "/",
    "/rules",
    "/rules/churn",
    "/runs",
    "RUN",
    "/events",
    "/events?text=file-1",
    "/sources",
    "/activity",
    "/none",
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_is_accessible_and_fits_a_phone(house: House, visit: Visit, theme: str) -> None:
    run = fire(house)
    visitor = visit(width=320, theme=theme)
    violations: dict[str, list[str]] = {}
    for screen in SCREENS:
        page = visitor.go(screen.replace("RUN", f"/runs/{run}"))
        page.locator("main h1, main .note").first.wait_for()
        page.get_by_text("Loading").first.wait_for(state="detached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, f"{screen} scrolls sideways"
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")
        violations[screen] = [f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"]]
    assert {screen: found for screen, found in violations.items() if found} == {}


def test_one_tab_holds_the_stream_and_the_others_hear_of_changes_too(house: House, visit: Visit) -> None:
    visitor = visit()
    visitor.go("/rules/churn")
    visitor.shows("live")
    second = visitor.context.new_page()
    second.goto(f"{visitor.url}/ui/rules/churn")
    second.get_by_text("no data pending").wait_for()
    house.push("f0", kind="file")
    for page in (visitor.page, second):
        page.bring_to_front()
        page.get_by_text("1 of 3 events: 2 events to go").wait_for()
    until(lambda: len(house.app.api.changes.listeners) == 1, "one stream for two tabs")
