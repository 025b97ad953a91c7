"""Sources and activity in the browser: a halted source and its way out, a replay, who did what."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.event import Event, Poison
from tests.browser.test_events import EVIL, check
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.conftest import House, Visit


class Topic:
    """A source with one partition of 100 records, that can be read again."""

    poll_errors = 0

    def __init__(self) -> None:
        self.lag: int | None = 7
        self.halted: dict[str, str] = {}
        self.last_error: str | None = None
        self.gate = threading.Event()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        if part != "orders/0":
            raise LookupError(f"there is no part {part}")
        return "topic_id", {"earliest": 0, "latest": 100}.get(str(to), to)  # type: ignore[return-value]

    def reread(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        del since, until
        yield [Event("push", f"again-{n}", "t", 1_700_000_000.0 + n, {"kind": "file"}) for n in range(2)]
        while not self.gate.wait(0.01) and not stop.is_set():
            pass


@pytest.fixture
def topic(house: House) -> Topic:
    topic = Topic()
    house.app.ingestion.running._running["push"] = (house.app.ingestion.configured["push"], topic)
    house.app.engine.claim("push", "orders/0", "topic_id", 41)
    return topic


def position(house: House) -> dict[str, Any]:
    found: dict[str, Any] = house.http.get("/api/v1/sources/push").json()["positions"][0]
    return found


def test_a_halted_source_is_found_and_reset_after_a_dry_run(house: House, visit: Visit, topic: Topic) -> None:
    topic.halted = {"orders/0": "offset 41 was deleted by the broker: reset it to earliest or latest"}
    visitor = visit()
    page = visitor.go("/sources")
    visitor.shows("offset 41 was deleted by the broker")
    page.get_by_role("link", name="the way out").click()
    visitor.shows("Halted: not read until somebody decides")
    page.get_by_role("button", name="Reset …").first.click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_text("continues at 100 instead of 41: up to 59 records are skipped").wait_for()
    dialog.get_by_label("Continue at").select_option("earliest")
    dialog.get_by_text("up to 41 records are read again").wait_for()
    assert position(house)["next"] == 41
    dialog.get_by_role("button", name="Reset the position").click()
    until(lambda: position(house)["next"] == 0, "it is reset")
    dialog.get_by_role("button", name="Close").click()
    topic.halted = {}
    page = visitor.go("/activity?act=reset_source")
    page.get_by_role("row", name="orders/0 to earliest").first.wait_for()
    assert page.get_by_role("link", name="push").first.get_attribute("href") == "/ui/sources/push"


def test_a_replay_is_tried_watched_and_cancelled(house: House, visit: Visit, topic: Topic) -> None:
    visitor = visit()
    page = visitor.go("/sources/push")
    visitor.shows("It was not read again since the daemon started.")
    page.get_by_role("button", name="Try a replay …").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_role("button", name="Try a replay").click()
    dialog.get_by_text("It has started.").wait_for()
    dialog.get_by_role("button", name="Close").click()
    visitor.shows("2 events read: 2 matched")
    page.get_by_role("button", name="Cancel …").click()
    dialog.get_by_role("button", name="Cancel the replay").click()
    dialog.get_by_text("It was asked to end.").wait_for()
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("cancelled").first.wait_for(timeout=40_000)
    assert house.http.get("/api/v1/events").json()["items"] == []
    topic.gate.set()
    page.get_by_role("button", name="Replay …", exact=True).click()
    dialog.get_by_text("No dry run has ended yet.").wait_for()
    dialog.get_by_role("button", name="Replay the source").click()
    dialog.get_by_text("It has started.").wait_for()
    until(lambda: len(house.http.get("/api/v1/events").json()["items"]) == 2, "both were counted")


def test_a_reader_sees_a_source_and_presses_nothing(house: House, visit: Visit, topic: Topic) -> None:
    topic.halted = {"orders/0": "the topic was created again"}
    page = visit("board").go("/sources/push")
    page.get_by_text("To reset it, a token needs the verb").wait_for()
    assert page.get_by_role("button", name="Reset …").count() == 0


def test_activity_is_filtered_by_the_address(house: House, visit: Visit) -> None:
    house.http.post("/api/v1/rules/churn/pause", json={"note": EVIL.replace("\u202e", "")})
    house.http.post("/api/v1/rules/churn/resume")
    visitor = visit()
    page = visitor.go("/activity")
    page.get_by_role("row", name="resume").wait_for()
    page.get_by_role("combobox", name="Act", exact=True).select_option("pause")
    page.get_by_role("row", name="resume").wait_for(state="detached")
    assert "act=pause" in page.url
    page.get_by_role("row", name="churn").wait_for()
    page.get_by_label("Result").select_option("refused")
    visitor.shows("No act is so.")
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("row", name="resume").wait_for()


@pytest.mark.parametrize("screen", ["/sources", "/sources/push", "/activity"])
@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (1200, "dark")])
def test_screens_are_accessible_and_foreign_text_is_text(
    house: House, visit: Visit, topic: Topic, screen: str, width: int, theme: str
) -> None:
    topic.halted = {"orders/0": f"the server says: {EVIL}"}
    topic.last_error = EVIL
    house.http.post("/api/v1/rules/churn/pause", json={"note": EVIL})
    house.push("f0", kind="file")
    visitor = visit(width=width, theme=theme)
    page = visitor.go(screen)
    page.wait_for_load_state("networkidle")
    visitor.shows("\\u202egnp")
    assert page.title() == "retrainer"
    check(visitor)
