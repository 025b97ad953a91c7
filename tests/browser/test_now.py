"""The first screen: whether the service works, what needs somebody and the way out, what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.store.base import StoreBusyError
from tests.browser.conftest import AXE

if TYPE_CHECKING:
    from tests.browser.conftest import House, Visit


def test_an_open_circuit_is_closed_where_it_is_seen(house: House, visit: Visit) -> None:
    house.break_fraud()
    visitor = visit()
    page = visitor.go("/")
    visitor.shows("Once their cause is gone, resume the rule.")
    page.get_by_role("button", name="Resume …").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume the rule").click()
    visitor.shows("The rule is active again.")
    page.get_by_text("Once their cause is gone, resume the rule.").wait_for(state="detached")
    assert page.get_by_role("dialog").get_by_text("The rule is active again.").is_visible()
    acts = house.http.get("/api/v1/activity").json()["items"]
    assert [(act["act"], act["by"], act["rule"]) for act in acts if act["act"] == "resume"] == [
        ("resume", "ops", "fraud")
    ]


def test_who_only_reads_sees_what_is_needed_and_presses_nothing(house: House, visit: Visit) -> None:
    house.break_fraud()
    visitor = visit("board")
    page = visitor.go("/")
    visitor.shows("circuit open")
    assert page.get_by_role("button", name="Resume …").count() == 0


def test_held_rules_are_counted_and_their_count_leads_to_them(house: House, visit: Visit) -> None:
    house.http.post("/api/v1/rules/churn/pause", json={"note": "incident"}).raise_for_status()
    visitor = visit()
    page = visitor.go("/")
    row = page.get_by_role("row", name="paused")
    row.wait_for()
    assert row.get_by_role("cell").last.inner_text() == "1"
    row.get_by_role("link").click()
    page.wait_for_url("**/rules?state=paused")


def test_dead_letters_lead_to_the_events(house: House, visit: Visit) -> None:
    house.http.post("/hooks/push", content="{<b>broken", headers={"content-type": "application/cloudevents+json"})
    visitor = visit()
    page = visitor.go("/")
    visitor.shows("dead letters")
    page.get_by_role("link", name="push: unreadable").click()
    page.wait_for_url("**/ui/events?tab=dead-letters")


def test_a_store_that_is_away_is_said_and_its_return_is_seen(
    house: House, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise StoreBusyError("db.example: connection refused")

    visitor = visit()
    visitor.go("/")
    visitor.shows("This replica decides; decisions are up to date.")
    with monkeypatch.context() as broken:
        broken.setattr(house.app.store, "read", gone)
        visitor.go("/")
        visitor.shows("The store cannot be read: db.example: connection refused.")
        visitor.shows("Nothing so far; not everything could be looked at yet.")
    visitor.shows("This replica decides; decisions are up to date.")
    # The browser logs what the service could not answer, which the page shows.
    visitor.errors[:] = [error for error in visitor.errors if "503 (Service Unavailable)" not in error]


def test_a_standby_without_leader_says_that_nobody_decides(
    house: House, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.app.engine, "standby", "this replica is a standby")
    visitor = visit()
    visitor.go("/")
    visitor.shows("No replica decides")
    visitor.shows("no leader")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1400])
def test_it_is_accessible_and_fits(house: House, visit: Visit, theme: str, width: int) -> None:
    house.break_fraud()
    house.http.post("/hooks/push", content="{<b>broken", headers={"content-type": "application/cloudevents+json"})
    visitor = visit(theme=theme, width=width)
    page = visitor.go("/")
    visitor.shows("dead letters")
    visitor.shows("FAILED")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")
    assert found["violations"] == []


def test_the_next_hour_says_what_is_assumed(house: House, visit: Visit) -> None:
    visitor = visit()
    visitor.go("/")
    visitor.shows("if no event, value or request arrives")


def test_a_screen_asks_again_only_for_what_it_shows(house: House, visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/rules/churn")
    visitor.shows("live")
    visitor.shows("Why, now")
    page.wait_for_load_state("networkidle")
    other = visitor.context.new_page()
    other.goto(f"{visitor.url}/ui/rules/fraud")
    other.get_by_text("0 of 2 failures in a row").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    house.break_fraud()
    other.get_by_text("2 of 2 failures in a row").first.wait_for()
    # The chart asks for the values since its last one.
    assert [url for url in asked if "/api/" in url and "churn" in url and "/series" not in url] == []
    house.push("f0", kind="file")
    visitor.shows("1 of 3 events: 2 events to go")
    assert [url for url in asked if "/rules/churn" in url] != []
