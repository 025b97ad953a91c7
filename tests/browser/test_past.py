"""The chart of a rule, and the past: by link, by pointer, by keys; a long day, a pruned past, a phone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete

from retrainer.engine.retention import retention_marks
from retrainer.event import Event
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.rows import event_to_row
from retrainer.util.timefmt import rfc3339
from tests.browser.conftest import AXE

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import House, Visit

DAY = 86400.0
SAMPLES = 5_000
PEAK = 3_333


def psi(house: House, *values: float) -> None:
    for number, value in enumerate(values):
        house.push(f"d{number}", kind="psi", value=value, metric="psi", labels={"model": "churn"})


def fired(house: House) -> dict[str, Any]:
    decisions = house.http.get("/api/v1/decisions?rule=churn&decision=fire").json()["items"]
    return dict(decisions[-1])


def a_day(house: House) -> float:
    """Store a day of values, one of them far above the rest, and decisions beside them. Return the time of the peak.

    Their numbers are negative: what arrives later begins at 1.
    """
    store, now = house.app.engine.store, house.app.engine.clock.now()
    times = [now - DAY + 600 + place * 17 for place in range(SAMPLES)]
    rows, decisions = [], []
    for place, at in enumerate(times):
        value = 0.9 if place == PEAK else 0.1 + 0.05 * math.sin(place / 200)
        data = {"kind": "psi", "value": value, "metric": "psi", "labels": {"model": "churn"}}
        rows.append(
            event_to_row(place - SAMPLES, at, Event("push", f"p{place}", "t", at, data), "matched", '[["churn",""]]')
        )
    for number, (place, reason) in enumerate(
        [
            (0, "below_threshold"),
            (1500, "cooldown"),
            (2500, "below_threshold"),
            (PEAK, "threshold"),
            (PEAK + 1, "quiet"),
        ]
    ):
        until = times[place] + 3600 if reason == "cooldown" else None
        kind = "fire" if reason == "threshold" else "hold"
        decisions.append(
            {
                "id": number - 9,
                "rule": "churn",
                "key": "",
                "decision": kind,
                "reason": reason,
                "detail": f"drift: at {place}",
                "until": until,
                "run": None,
                "first_at": times[place],
                "last_at": times[place],
                "count": 1,
                "seq": place - SAMPLES,
            }
        )
    with store.write() as conn:
        statements.append_all(conn, t.events, rows)
        statements.insert_all(conn, t.decisions, decisions)
    return times[PEAK]


def readout(page: Page) -> str:
    return page.locator(".readout").inner_text().replace("\n", " ")


def test_the_link_of_an_alert_opens_the_moment_it_fired_and_the_value_is_read_in_chart_and_tree(
    house: House, visit: Visit
) -> None:
    psi(house, 0.05, 0.31, 0.02)
    house.ends("churn", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go(f"/rules/churn?at={fired(house)['first_at']}")
    visitor.shows("Why, then")
    visitor.shows("0.31 > 0.2: reached, clears at 0.1")
    page.get_by_text("drift 0.31 (> 0.2)").wait_for()
    assert "fire: threshold" in readout(page)
    assert page.locator("svg.chart line.at").count() == 1
    page.get_by_role("button", name="Back to now").click()
    page.get_by_text("drift 0.02 (> 0.2)").wait_for()


def test_a_day_of_5_000_values_is_drawn_with_its_peak_and_read_by_keys_alone(house: House, visit: Visit) -> None:
    peak = a_day(house)
    visitor = visit()
    page = visitor.go("/rules/churn")
    visitor.shows("fires at > 0.2")
    page.get_by_text("Reading earlier values").wait_for(state="detached")
    assert page.locator("svg.chart *").count() <= 200
    assert "0.9," in str(page.locator("svg.chart").get_attribute("aria-label"))
    page.get_by_role("slider", name="Moment shown").focus()
    page.keyboard.press("[")
    page.get_by_text("drift: at 3334").first.wait_for()
    page.keyboard.press("[")
    page.get_by_text("drift 0.9 (> 0.2)").wait_for()
    assert f"at={rfc3339(peak)}".replace(":", "%3A") in page.url
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Why, then").wait_for()
    page.get_by_text("hold: below threshold").wait_for()
    slider = page.get_by_role("slider", name="Moment shown")
    assert "hold: below threshold" in str(slider.get_attribute("aria-valuetext"))
    page.keyboard.press("End")
    visitor.shows("Why, now")


def test_the_zoom_is_in_the_address_and_a_pointer_reads_and_moves(house: House, visit: Visit) -> None:
    peak = a_day(house)
    visitor = visit()
    page = visitor.go("/rules/churn")
    page.get_by_role("button", name="all kept").click()
    page.wait_for_url("**zoom=all**")
    visitor.shows("fires at > 0.2")
    page.get_by_role("button", name="hour").click()
    page.wait_for_url("**zoom=hour**")
    page.goto(f"{visitor.url}/ui/rules/churn?zoom=hour&at={rfc3339(peak)}")
    page.get_by_text("drift 0.9 (> 0.2)").wait_for()
    box = page.locator("svg.chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 3, box["y"] + 20)
    page.get_by_text("drift 0.9 (> 0.2)").wait_for(state="detached")
    page.mouse.click(box["x"] + 3, box["y"] + 20)
    page.wait_for_url(lambda url: "at=" in url and rfc3339(peak).replace(":", "%3A") not in url)


def test_a_pruned_past_is_called_not_kept(house: House, visit: Visit) -> None:
    peak = a_day(house)

    def prune(conn: Any) -> None:
        conn.execute(delete(t.events).where(t.events.c.at <= peak))
        conn.execute(delete(t.decisions).where(t.decisions.c.first_at < peak))
        retention_marks.note_pruned(conn, PEAK - SAMPLES, peak)

    with house.app.engine.store.write() as conn:
        prune(conn)
    visitor = visit()
    page = visitor.go("/rules/churn")
    visitor.shows("No decision is kept from before")
    visitor.shows("Values and data are not kept from before")
    assert page.locator("svg.chart rect.not-kept").count() == 1
    page.goto(f"{visitor.url}/ui/rules/churn?at={rfc3339(peak - 3600)}")
    visitor.shows("no decision is stored for")
    visitor.shows("were pruned")
    assert "drift 0" not in readout(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chart_is_accessible_and_fits_a_phone(house: House, visit: Visit, theme: str) -> None:
    peak = a_day(house)
    visitor = visit(width=320, theme=theme)
    for address in ("/rules/churn", f"/rules/churn?at={rfc3339(peak)}&zoom=week", "/rules/churn?zoom=all"):
        page = visitor.go(address)
        visitor.shows("fires at > 0.2")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")
        assert [f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"]] == []


def test_an_address_with_no_time_says_so_and_shows_now(house: House, visit: Visit) -> None:
    visitor = visit()
    visitor.go("/rules/churn?at=NaN")
    visitor.shows("“NaN” is no time")
    visitor.shows("Why, now")
