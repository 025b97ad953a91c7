"""Which rule files were edited since the last time, for the list of activity."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.config.teams import team
from retrainer.engine.core.notifications import ActRecorded
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.configuration import Configuration

FEW = 20
"""Rules of a file that have a record each; of more edited ones, the file has one."""
MOST = 200
"""Records of one reload."""
BY = "files"


def edits(
    before: Mapping[str, str], after: Mapping[str, str], old: Configuration | None, new: Configuration
) -> Iterator[ActRecorded]:
    """Yield a record for each edited rule of each edited file. ``before`` and ``after`` are texts by file.

    ``old`` is None after a start: it is then unknown which rules of a file were edited. For the first files of a store,
    nothing is yielded.
    """
    files = sorted(file for file in before.keys() | after.keys() if before.get(file) != after.get(file))
    if not before:
        return
    rules = _edited(old, new) if old is not None else {}
    left = MOST
    for n, file in enumerate(files):
        records = list(_of_file(file, _how(file in before, file in after), rules.get(file, ())))
        if len(records) > left:
            yield ActRecorded("edit", BY, detail=f"{many(len(files) - n, 'more file')}")
            return
        left -= len(records)
        yield from records


def _of_file(file: str, how: str, rules: Mapping[str, str] | tuple[()]) -> Iterator[ActRecorded]:
    edit = ActRecorded("edit", BY, namespace=team(file) or "", target=file)
    if not rules or len(rules) > FEW:
        count = f"; {many(len(rules), 'rule')} edited" if rules else ""
        yield replace(edit, detail=f"file {how}{count}")
        return
    for rule in sorted(rules):
        yield replace(edit, rule=rule, detail=f"rule {rules[rule]}")


def _how(was: bool, there: bool) -> str:
    return "changed" if was and there else "added" if there else "removed"


def _edited(old: Configuration, new: Configuration) -> dict[str, dict[str, str]]:
    """Return what happened to the edited rules, by file."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name in old.revisions.keys() | new.revisions.keys():
        if old.revisions.get(name) != new.revisions.get(name):
            place = (new if name in new.revisions else old).positions[f"rules.{name}"]
            found[place.rsplit(":", 2)[0]][name] = _how(name in old.revisions, name in new.revisions)
    return found
