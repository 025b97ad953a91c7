"""Build a fake next release for upgrade tests: this source tree with another version and one more migration.

Its schema has a column, its rule states and its replica records each have a field, that this release does not know.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from retrainer.store.migrate import HEAD

ROOT = Path(__file__).parents[1]
CURRENT = version("retrainer")
VERSION = "99.0.0"
SCHEMA = "9999"
OLDEST = HEAD.partition("_")[2]
"""The oldest schema that the release works with. An expanding migration leaves it unchanged."""
_RUNBOOKS = "docs/how-to/operations/runbooks"
_BESIDE = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "Dockerfile",
    "requirements-image.lock",
    "requirements-runtime.lock",
)

_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("runs", sa.Column("build", sa.Text))
    op.create_index("runs_build", "runs", ["build"])
"""


def make(folder: Path, oldest: str = OLDEST) -> str:
    """Write the source of the release into a new ``folder``; return the revision of its schema."""
    shutil.copytree(ROOT / "retrainer", folder / "retrainer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / _RUNBOOKS, folder / _RUNBOOKS)
    for name in _BESIDE:
        shutil.copy(ROOT / name, folder)
    revision = f"{SCHEMA}_{oldest}"
    package = folder / "retrainer"
    migrate = package / "store" / "migrate.py"
    (package / "store" / "migrations" / "versions" / f"{SCHEMA}_build.py").write_text(
        _MIGRATION.format(revision=revision, before=HEAD)
    )
    _edit(folder / "pyproject.toml", f'\nversion = "{CURRENT}"', f'\nversion = "{VERSION}"')
    _edit(migrate, f'HEAD = "{HEAD}"', f'HEAD = "{revision}"')
    _edit(migrate, ", HEAD)\n", f', "{HEAD}", HEAD)\n')
    _before(package / "store" / "tables.py", '    Column("released", ', '    Column("build", Text),\n')
    _before(package / "runs" / "run.py", "    released: bool", f'    build: str = "{VERSION}"\n')
    _before(package / "rules" / "state.py", "\n    def but", f'    build: str = "{VERSION}"\n')
    _before(package / "rules" / "state.py", '        "wake_at": state.wake_at', '        "build": state.build,\n')
    _before(
        package / "engine" / "replication" / "inbox.py", '        "takes_back": ', f'        "build": "{VERSION}",\n'
    )
    return revision


def _before(path: Path, place: str, added: str) -> None:
    _edit(path, place, added + place)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))
