"""The version. It is defined in pyproject.toml; what names it elsewhere is written from there.

`python -m deploy.release.version 0.2.0` writes the next one everywhere, and begins its section of the changelog.
"""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.release import changelog

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
_DEFINED = re.compile(r'(?<=\nversion = ")[^"]+')
_FORM = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
_IN_TEXT = r"[\d.abrc]+\d"
NAMED = (
    ("deploy/helm/retrainer/Chart.yaml", re.compile(r"(?<=^version: )\S+|(?<=^appVersion: )\S+", re.MULTILINE)),
    ("deploy/gitops/*.yaml", re.compile(r"(?<=image: retrainer:)\S+")),
    ("deploy/kubernetes/*.yaml", re.compile(r"(?<=image: retrainer:)\S+")),
    (
        "docs/**/*.md",
        re.compile(
            rf'(?<=/ml/retrainer:){_IN_TEXT}|(?<=/ml/retrainer, tag: ")[^"]+'
            rf"|(?<=/retrainer-){_IN_TEXT}(?=-py3)|(?<=rev: v){_IN_TEXT}|(?<=is at version ){_IN_TEXT}"
        ),
    ),
)
"""Where else it is named: files, and what is the version in them."""


def read(root: Path = ROOT) -> str:
    found = _DEFINED.search((root / "pyproject.toml").read_text())
    assert found is not None  # noqa: S101 - without one there is no wheel either
    return found[0]


def differing(root: Path = ROOT) -> Iterator[str]:
    """Yield the places that name another version than pyproject.toml."""
    for path, pattern in _named(root):
        for found in pattern.finditer(path.read_text()):
            if found[0] != read(root):
                yield f"{path.relative_to(root)} names {found[0]}"


def write(version: str, root: Path = ROOT) -> None:
    for path, pattern in [*_named(root), (root / "pyproject.toml", _DEFINED)]:
        path.write_text(pattern.sub(version, path.read_text()))


def _named(root: Path) -> list[tuple[Path, re.Pattern[str]]]:
    return [
        (path, pattern)
        for files, pattern in NAMED
        for path in sorted(root.glob(files))
        if "decisions" not in path.parts
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help="such as 0.2.0, or 0.2.0rc1")
    version = parser.parse_args().version
    if not _FORM.fullmatch(version):
        parser.error(f"{version!r} is no version: write three numbers, such as 0.2.0, or 0.2.0rc1 for a candidate")
    log = ROOT / "CHANGELOG.md"
    try:
        if version not in changelog.sections(log.read_text()):
            log.write_text(changelog.cut(log.read_text(), version, f"{datetime.now(UTC):%Y-%m-%d}"))  # noqa: TID251 - a command
    except ValueError as error:
        parser.error(str(error))
    write(version)
    print(f"version {version} is written. Read `git diff`, commit it, then `make release`")  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
