"""All shown rules are valid: the files of config/examples, and every complete file in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrainer.cli.main import main
from retrainer.config.load import validate

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "config/examples").glob("*.yaml"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_BLOCK = re.compile(r"^```yaml\n(version: 1\n.*?)^```", re.DOTALL | re.MULTILINE)
_NO_RULES = re.compile(r"^(engine|tests):", re.MULTILINE)


def _shown() -> list[tuple[str, str]]:
    """Name and text of every complete rule file that is shown."""
    files = [(str(path.relative_to(ROOT)), path.read_text()) for path in FILES]
    blocks = [(str(page.relative_to(ROOT)), text) for page in PAGES for text in _BLOCK.findall(page.read_text())]
    return files + [(name, text) for name, text in blocks if not _NO_RULES.search(text)]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in _shown()])
def test_what_is_shown_as_rules_is_valid(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r"from_env: (\w+)", text):
        monkeypatch.setenv(variable, "a-secret")
    (tmp_path / "rules.yaml").write_text(text)
    _, problems = validate(str(tmp_path))
    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in FILES])
def test_lint_has_nothing_to_say_of_an_example(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r"from_env: (\w+)", file.read_text()):
        monkeypatch.setenv(variable, "a-secret")
    told = CliRunner().invoke(main, ["lint", str(file)])
    assert "nothing found" in told.output, told.output


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/how-to/sources/kafka.md",
        "docs/how-to/sources/s3.md",
        "docs/how-to/sources/prometheus.md",
        "docs/how-to/sources/alertmanager.md",
        "docs/how-to/drift.md",
        "config/examples/kafka.yaml",
    ],
)
def test_these_are_among_them(name: str) -> None:
    assert name in {shown for shown, _ in _shown()}


PATTERNS = [page for kind in ("patterns", "coming-from") for page in (ROOT / "docs/how-to" / kind).glob("*.md")]


@pytest.mark.parametrize("page", [pytest.param(p, id=p.stem) for p in sorted(PATTERNS) if p.stem != "README"])
def test_a_pattern_shows_the_example_that_is_tested(page: Path) -> None:
    text = page.read_text()
    (example,) = re.findall(r"\]\(\.\./\.\./\.\./(config/examples/[\w-]+\.yaml)\)\. Its tests", text)
    (shown,) = _BLOCK.findall(text)
    file = (ROOT / example).read_text()
    assert shown == file[file.index("version: 1") :]
    assert (ROOT / example).with_name("tests").joinpath(f"{Path(example).stem}_test.yaml").exists()
