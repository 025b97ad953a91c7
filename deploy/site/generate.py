"""Write the generated part of each reference page: `make reference`. A test checks that the pages are up to date."""

from __future__ import annotations

import re
from os.path import relpath
from pathlib import Path

from deploy.site.commands import commands_page
from deploy.site.expressions import expressions_page
from retrainer.config.reference import rules_pages, settings_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
BELOW = "<!-- `make reference` writes everything below this line. -->\n"
_NAMED = re.compile(r"\(docs/([\w/-]+\.md)\)")


def generated() -> dict[Path, str]:
    """The generated text below the marker line of each page."""
    texts = {f"rules/{page}": tables for page, tables in rules_pages().items()}
    texts |= {"settings.md": settings_page(), "expressions.md": expressions_page(), "cli.md": commands_page()}
    return {path: _linked(text, path) for path, text in ((DOCS / "reference" / name, t) for name, t in texts.items())}


def _linked(text: str, page: Path) -> str:
    """Turn repository paths of pages in descriptions into links."""
    return _NAMED.sub(lambda found: f"([{Path(found[1]).name}]({relpath(DOCS / found[1], page.parent)}))", text)


def whole(page: Path, below: str) -> str:
    """Return the page: its manual text above the line, and ``below``."""
    above, line, _ = page.read_text().partition(BELOW)
    return f"{above}{line}{below}"


if __name__ == "__main__":
    for page, below in generated().items():
        page.write_text(whole(page, below))
