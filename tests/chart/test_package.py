"""The chart as it is packaged: what it says about itself, and where its README leads."""

from __future__ import annotations

import re
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
import yaml

from .conftest import CHART, HELM

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the packaged chart."""
    folder = tmp_path_factory.mktemp("package")
    subprocess.run([str(HELM), "package", str(CHART), "-d", str(folder)], check=True, capture_output=True, timeout=60)
    (archive,) = folder.glob("retrainer-*.tgz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder / "retrainer"


def test_each_link_of_its_readme_leads_into_the_package_or_to_an_address(package: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", (package / "README.md").read_text())
    assert targets
    local = [target for target in targets if not target.startswith("https://")]
    assert [target for target in local if not (package / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("field", ["icon", "maintainers", "kubeVersion", "keywords", "appVersion"])
def test_it_says_who_made_it_and_what_it_needs(package: Path, field: str) -> None:
    assert yaml.safe_load((package / "Chart.yaml").read_text())[field]


def test_it_brings_the_alerts_and_dashboards_and_not_its_tests(package: Path) -> None:
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert {"monitoring/alerts.yaml", "monitoring/dashboards/overview.json"} <= names
    assert [name for name in names if name.startswith(("tests/", "ci/")) or name.endswith(".py")] == []
