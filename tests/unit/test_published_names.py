"""No page, example or chart names a package, an image or an address that nobody has published.

Whoever publishes retrainer decides where. Until then the pages build from source, and push to `example.com`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "deploy", "retrainer/cli", "config")
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(
        path
        for folder in FOLDERS
        for kind in ("md", "yaml", "gotmpl", "txt")
        for path in sorted((ROOT / folder).rglob(f"*.{kind}"))
    ),
]
CLAIMS = {
    "a package of that name from an index": re.compile(
        r"\b(?:pip3?|pipx|uv|uvx|poetry|conda)\b[^\n|`]*\b(?:install|add|run)\b[^\n|`]*(?<![\w./-])retrainer(?:\[\w+\])?(?:==\S+)?[\"']?(?=[\s`|]|$)"
    ),
    "an image of a registry that has none": re.compile(
        r"\b(?:docker|podman|nerdctl|crictl)\b[^\n`]*\b(?:run|pull)\b[^\n`]*(?<![\w./-])retrainer[:@]"
    ),
    "a repository of charts": re.compile(
        r"\bhelm repo add\b[^\n]*(?<!example\.com/charts)$|\boci://(?!registry\.example\.com)", re.MULTILINE
    ),
    "an address": re.compile(
        r"https?://(?![\w.-]*example\.com)(?:[\w.-]*retrainer\.(?:dev|io|org|com)\b|[\w.-]+\.\w+/\S*\bretrainer\b)"
    ),
    "an image or repository elsewhere": re.compile(
        r"(?<![\w./@-])(?!retrainer\.dev/|[\w.-]*example\.com)[\w.-]+\.(?:io|org|com|dev)/[\w./-]*\bretrainer\b(?!\.)"
    ),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_nothing_is_named_that_is_not_published(claim: str) -> None:
    found = [f"{path.relative_to(ROOT)}: {m[0]}" for path in PAGES for m in CLAIMS[claim].finditer(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("a package of that name from an index", "pip install retrainer"),
        ("a package of that name from an index", "uv tool install 'retrainer[chart]'"),
        ("an image of a registry that has none", "docker run --rm retrainer:0.1.0 validate"),
        ("a repository of charts", "helm repo add retrainer https://charts.retrainer.dev"),
        ("a repository of charts", "helm install retrainer oci://registry.acme.io/charts/retrainer"),
        ("an address", "runbook_url: https://retrainer.dev/docs/runbooks/RetrainerDown.md"),
        ("an address", "https://forge.acme.org/ml/retrainer"),
        ("an image or repository elsewhere", "image: registry.acme.io/ml/retrainer:1"),
    ],
)
def test_such_a_claim_would_be_found(claim: str, text: str) -> None:
    assert CLAIMS[claim].search(text)


def test_the_pages_that_install_say_how_to_build() -> None:
    page = (ROOT / "docs/how-to/install.md").read_text()
    assert "No registry has the image" in page
    assert "make image" in page
    assert "pip install ./retrainer" in page
