"""`make screenshots`: the pictures of the documentation, of a story that is the same each time."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.browser.story import StoryHouse, address, tell
from tests.houses.browser import ROOT, Visitor, chromium

FOLDER = ROOT / "docs/how-to/pictures"
SIZE = {"width": 1200, "height": 800}
COLOURS = 256
SCREENS = {
    "now": "/",
    "rule": "/rules/churn?zoom=week",
    "past": "/rules/churn?zoom=week&at=2026-03-02T20:40:00.000Z",
    "run": "/runs/{fraud}",
    "events": "/events?text=chargebacks-2/0",
    "limits": "/limits",
    "upcoming": "/upcoming?horizon=week",
    "what-if": "/what-if?rule=churn&set=triggers.drift.metric.above%3D0.15",
    "rules": "/rules",
    "sources": "/sources/lake",
    "activity": "/activity",
}


def take(browser: Browser, house: StoryHouse, folder: Path) -> None:
    """Write two pictures of each screen into a folder: light and dark."""
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")
    visitor = Visitor(context, house.url, house.time).sign_in("ops")
    for name, screen in SCREENS.items():
        visitor.go(address(house.http, screen))
        visitor.complete()
        for theme in ("light", "dark"):
            visitor.page.emulate_media(color_scheme=theme)
            _write(folder / f"{name}-{theme}.png", visitor.page.screenshot())
    context.close()
    assert visitor.errors == []


def _write(path: Path, picture: bytes) -> None:
    """Write a picture with few colours, if it differs from the file."""
    small = io.BytesIO()
    shown = Image.open(io.BytesIO(picture)).convert("RGB")
    shown.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    if not path.exists() or path.read_bytes() != small.getvalue():
        path.write_bytes(small.getvalue())
        sys.stdout.write(f"{path.relative_to(path.parents[3])}: {len(small.getvalue()) / 1000:.0f} kB\n")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        house = StoryHouse(Path(folder))
        try:
            tell(house)
            take(chromium(playwright), house, FOLDER)
        finally:
            house.close()


if __name__ == "__main__":
    main()
