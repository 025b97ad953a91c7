"""A real browser, and who looks at the page with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

ROOT = Path(__file__).parents[2]
AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"
COUNT_REQUESTS = """
window.underway = 0;
const ask = window.fetch;
window.fetch = async (...words) => {
  window.underway += 1;
  try { return await ask(...words); } finally { window.underway -= 1; }
};
"""
COMPLETE = """async () => {
  const isComplete = () => window.underway === 0 && document.querySelector("main h1, main .note")
    && !/Loading|Reading earlier|Counting|Playing/.test(document.querySelector("main").innerText);
  for (let times = 0; times < 4; times = isComplete() ? times + 1 : 0) {
    await new Promise((done) => setTimeout(done, 16));
  }
}"""


class Visitor:
    """A page of somebody who is signed in. `close` fails if the console had an error or the policy was violated."""

    def __init__(self, context: BrowserContext, url: str, time: float | None = None) -> None:
        """With a ``time``, the browser's clock stands still at it."""
        self.context, self.url = context, url
        context.add_init_script(COUNT_REQUESTS)
        if time is not None:
            context.clock.set_fixed_time(time)
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def sign_in(self, token: str) -> Visitor:
        self.go("/")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()
        return self

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.url}/ui{path}")
        return self.page

    def complete(self) -> None:
        """Wait until nothing is asked for any more, and nothing says that it is being read."""
        self.page.evaluate(COMPLETE)

    def shows(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=15_000)


def chromium(playwright: Playwright) -> Browser:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program is not None, "no browser: install Debian's chromium, or set CHROMIUM to one"
    return playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


Visit = Callable[..., Visitor]


def visits(browser: Browser, address: str) -> Iterator[Visit]:
    """For fixtures: yield what opens the page of the daemon at ``address``, for somebody with a token."""
    visitors: list[Visitor] = []

    def visit(token: str = "ops", *, width: int = 1200, theme: str = "light") -> Visitor:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)  # type: ignore[arg-type]
        visitor = Visitor(context, address)
        visitors.append(visitor)
        return visitor.sign_in(token)

    yield visit
    errors = [error for visitor in visitors for error in visitor.errors]
    for visitor in visitors:
        visitor.context.close()
    assert errors == []
