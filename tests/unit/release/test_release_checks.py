"""What is not released, and what to do about it; and the version, which has one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.release import changelog, checks, version
from tests.unit.release.checkout import FILES, VERSION, commit, git, make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG, CHART = "CHANGELOG.md", "deploy/helm/retrainer/Chart.yaml"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make(tmp_path)


def committed(name: str, old: str, new: str) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        assert old in (root / name).read_text()
        (root / name).write_text((root / name).read_text().replace(old, new))
        commit(root)

    return spoil


def tagged_and_changed(root: Path) -> None:
    git(root, "tag", f"v{VERSION}")
    commit(root, "two")


def test_what_fits_together_may_be_released(checkout: Path) -> None:
    assert list(checks.refusals(checkout)) == []


def test_a_tag_of_this_commit_is_no_obstacle(checkout: Path) -> None:
    git(checkout, "tag", "-a", "-m", "x", f"v{VERSION}")
    assert list(checks.refusals(checkout)) == []


@pytest.mark.parametrize(
    ("spoil", "reason", "way_out"),
    [
        pytest.param(
            lambda root: (root / LOG).write_text("x\n" + FILES[LOG]), f"({LOG})", "`git stash -u`", id="a changed file"
        ),
        pytest.param(
            lambda root: (root / "new.py").write_text("x"), "(new.py)", "commit, or", id="a file nobody added"
        ),
        pytest.param(
            lambda root: [(root / f"{n}.py").write_text("x") for n in range(5)],
            "(0.py, 1.py, 2.py and 2 more)",
            "commit, or",
            id="many files",
        ),
        pytest.param(
            committed(LOG, f"[{VERSION}]", "[1.1.9]"),
            f"says nothing about {VERSION}",
            f"`make version VERSION={VERSION}`",
            id="a version that the changelog does not have",
        ),
        pytest.param(
            committed(LOG, "### Added\n- All of it.\n", ""),
            f"says nothing about {VERSION}",
            "begins its section",
            id="a version of which the changelog says nothing",
        ),
        pytest.param(
            committed(LOG, "## [Unreleased]\n", "## [Unreleased]\n- One more.\n"),
            "entries under [Unreleased]",
            f"move them to [{VERSION}]",
            id="changes that its section does not have",
        ),
        pytest.param(
            committed(CHART, f"appVersion: {VERSION}", "appVersion: 1.1.0"),
            f"{CHART} names 1.1.0",
            f"`make version VERSION={VERSION}`",
            id="a chart of another version",
        ),
        pytest.param(
            tagged_and_changed, f"v{VERSION} is commit", f"`git checkout v{VERSION}`", id="a tag of another commit"
        ),
    ],
)
def test_what_does_not_is_refused_with_the_way_out(
    checkout: Path, spoil: Callable[[Path], object], reason: str, way_out: str
) -> None:
    spoil(checkout)
    (refusal,) = checks.refusals(checkout)
    assert reason in refusal
    assert way_out in refusal


def test_the_next_version_is_written_everywhere(checkout: Path) -> None:
    version.write("2.0.0rc1", checkout)
    assert version.read(checkout) == "2.0.0rc1"
    assert list(version.differing(checkout)) == []
    for name in FILES.keys() - {LOG}:
        assert VERSION not in (checkout / name).read_text()


def test_this_repository_names_one_version() -> None:
    assert list(version.differing()) == []


def test_a_section_is_cut_from_what_is_unreleased() -> None:
    log = "# Changelog\n\n## [Unreleased]\n\n### Added\n- New.\n\n## [1.0.0] - 2026-01-01\n- Old.\n"
    text = changelog.cut(log, "1.1.0", "2026-11-30")
    assert changelog.sections(text) == {"Unreleased": "", "1.1.0": "### Added\n- New.", "1.0.0": "- Old."}
    with pytest.raises(ValueError, match="nothing under"):
        changelog.cut(text, "1.2.0", "2026-12-01")


@pytest.mark.parametrize("name", sorted(changelog.sections((version.ROOT / LOG).read_text())))
def test_a_section_of_the_changelog_has_each_kind_of_change_once_and_in_order(name: str) -> None:
    text = changelog.sections((version.ROOT / LOG).read_text())[name]
    kinds = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("###")]
    assert kinds == [
        kind for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security") if kind in kinds
    ]
