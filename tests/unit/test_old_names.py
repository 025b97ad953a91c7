"""Names that were replaced are gone: one name stands for one thing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
GONE = (
    "Staged",
    "Birthplace",
    "Birth",
    "Weighed",
    "Purse",
    "Allowance",
    "EngineDesk",
    "Desk",
    "Taker",
    "Nerves",
    "CompiledGauge",
    "Came",
    "Gathering",
    "Census",
    "Tally",
    "Reporter",
    "Deaf",
    "HandClock",
    "Follower",
    "Pasted",
    "SqsRoad",
    "Outbox",
    "Cargo",
    "Noted",
    "Stretch",
    "Lanes",
    "birthplace",
    "give_birth",
    "taker",
    "handover",
    "nerves",
    "purse",
    "allowance",
    "porter",
    "outlook",
    "letters_limit",
    "or_after",
    "quiet_for",
    "expect_every",
    "again_after",
    "born_at",
    "incarnation",
    "event_to_submit_seconds",
    "store_commit_duration_seconds",
)
"""Classes, functions, attributes; then fields of rules and settings, columns, fields of the API, metrics."""
MAPPING = {"CHANGELOG.md", "docs/decisions/0034-names-and-places.md", "tests/unit/test_old_names.py"}
"""Where old names are said: the mapping, and this list."""
OLDER_SCHEMAS = {
    "tests/contract/test_store.py",
    "tests/integration/postgres/test_migration.py",
    "tests/unit/cli/test_local.py",
}
"""Tests that make a store of an older release, with the columns of that time."""
_OLD = re.compile(r"(?<![\w-])_?(" + "|".join(GONE) + r")(?![\w-])")


def test_no_old_name_is_left() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    left = [f"{name}: {word}" for name in listed for word in _old_names(name)]
    assert left == []


def _old_names(name: str) -> set[str]:
    path = ROOT / name
    if name in MAPPING | OLDER_SCHEMAS or "migrations/versions" in name or path.is_symlink() or not path.is_file():
        return set()
    try:
        return set(_OLD.findall(path.read_text()))
    except UnicodeDecodeError:
        return set()
