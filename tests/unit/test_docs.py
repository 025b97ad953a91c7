"""The documentation matches the code."""

from __future__ import annotations

import configparser
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from prometheus_client import CollectorRegistry

from deploy.site.generate import generated, whole
from retrainer.cli.main import main
from retrainer.config.load import validate
from retrainer.config.reference import reference
from retrainer.rules.outcome import Reason
from retrainer.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PICTURE = re.compile(r'(?:src|srcset)="([^"]+)"')
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
ANCHOR = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)#([^)\s]+)\)")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_rule_in_the_readme_is_valid(tmp_path: Path) -> None:
    (rule,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "rules.yaml").write_text(rule)
    _, problems = validate(str(tmp_path))
    assert [str(problem) for problem in problems] == []


def test_the_metrics_page_names_what_is_exported() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    exported = {f"{m.name}_total" if m.type == "counter" else m.name for m in registry.collect()}
    exported = {name for name in exported if name.startswith("retrainer_")}
    tables = re.sub(r"```.*?```", "", (ROOT / "docs/reference/metrics.md").read_text(), flags=re.DOTALL)
    assert set(re.findall(r"`(retrainer_\w+)`", tables)) == exported


def test_every_reason_is_explained() -> None:
    page = (ROOT / "docs/reference/reasons.md").read_text()
    told = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    assert {name for cell in told for name in re.findall(r"`(\w+)`", cell)} == {reason.value for reason in Reason}


@pytest.mark.parametrize(("page", "below"), [pytest.param(*one, id=one[0].stem) for one in generated().items()])
def test_a_generated_reference_is_what_the_code_says(page: Path, below: str) -> None:
    assert page.read_text() == whole(page, below), "run `make reference`"


def test_every_field_of_the_rule_language_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", reference(), re.MULTILINE)
    assert len(rows) > 150
    assert [field for field, meaning in rows if not meaning.strip()] == []


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    assert [link for link in LINK.findall(text) + PICTURE.findall(text) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_anchors_are_headings_of_the_page_they_lead_to(page: Path) -> None:
    wrong = [
        f"{link}#{anchor}"
        for link, anchor in ANCHOR.findall(page.read_text())
        if (target := page.parent / link if link else page).suffix == ".md" and anchor not in _anchors(target)
    ]
    assert wrong == []


@cache
def _anchors(page: Path) -> set[str]:
    """The anchors of headings, as GitHub and the site generate them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = (re.sub(r"\]\([^)]*\)", "", found) for found in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return {re.sub(r"[^\w -]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [found for link in LINK.findall(page.read_text()) for found in _pages(page.parent / link)]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def _pages(target: Path) -> list[Path]:
    """The page itself; for a folder its index, or all of its pages if there is none."""
    target = target.resolve()
    if target.is_dir():
        index = target / "README.md"
        return [index] if index.exists() else sorted(target.glob("*.md"))
    return [target] if target.suffix == ".md" else []


def test_the_api_page_names_what_is_served() -> None:
    paths = json.loads((ROOT / "docs/reference/openapi.json").read_text())["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    named = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]*)`", (ROOT / "docs/reference/api.md").read_text())
    of_the_api = {line.replace("/api/v1", "") for line in served if "/api/v1" in line}
    assert {line for line in named if " /-/" not in line} == of_the_api


def test_the_command_page_has_a_section_for_each_command() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    assert [name for name in _commands(main, click.Context(main)) if f"\n### retrainer {name}\n" not in page] == []


def _commands(group: click.Group, context: click.Context, prefix: str = "") -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, context, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_the_layers_that_are_shown_are_those_that_are_checked() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    checked = contracts["importlinter:contract:layers"]["layers"].split("\n")
    (shown,) = re.findall(
        r"^cli  >.*?(?=^```)", (ROOT / "docs/concepts/architecture.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert [_names(layer) for layer in shown.split(">")] == [_names(layer) for layer in checked if layer]


def _names(layer: str) -> set[str]:
    return set(re.findall(r"\w+", layer))


def test_the_layout_names_each_module_and_folder() -> None:
    page = (ROOT / "docs/concepts/architecture.md").read_text()
    found = [p for p in (ROOT / "retrainer").iterdir() if p.name not in ("__init__.py", "__pycache__", "py.typed")]
    missing = [p.name for p in found if not re.search(rf"^  .*\b{re.escape(p.name)}", page, re.MULTILINE)]
    assert missing == []
