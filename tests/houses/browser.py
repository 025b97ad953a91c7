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

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"


class Visitor:
    """A page of somebody who is signed in. `close` fails if the console had an error or the policy was violated."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
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

    def shows(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=15_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program is not None, "no browser: install Debian's chromium, or set CHROMIUM to one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
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
