"""Names of backups, `INSTANCE-20261130T021700Z.db`, and which of them are no longer kept. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<instance>[^/]+)-(?P<at>[0-9]{8}T[0-9]{6}Z)\.(?P<kind>db|dump)")


@dataclass(frozen=True, slots=True, order=True)
class NamedBackup:
    """``at``: the time of its content, in seconds since the epoch. ``kind``: `db` (SQLite) or `dump` (of pg_dump)."""

    at: float
    instance: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.instance}-{datetime.fromtimestamp(self.at, UTC):{_TIME}}.{self.kind}"


def parse_name(name: str) -> NamedBackup | None:
    """Return what the name of a file says; None if it is not the name of a backup."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        at = datetime.strptime(match["at"], _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:  # there is no such day
        return None
    return NamedBackup(at, match["instance"], match["kind"])


@dataclass(frozen=True, slots=True)
class BackupRetention:
    """The ``count`` newest backups are kept, and those younger than ``age`` seconds. Neither: all are kept."""

    count: int | None = None
    age: float | None = None

    @property
    def limits(self) -> bool:
        """Whether anything is ever removed."""
        return self.count is not None or self.age is not None

    def expired(self, made: NamedBackup, names: Iterable[str]) -> list[str]:
        """Return the names of backups to remove, oldest first: those of the same instance and kind that are not kept.

        Backups that are not older than ``made``, the one just completed, are always kept.
        """
        if not self.limits:
            return []
        mine = (made.instance, made.kind)
        found = {name: one for name in names if (one := parse_name(name)) and (one.instance, one.kind) == mine}
        newest_first = sorted(found, key=lambda name: found[name], reverse=True)
        beyond = newest_first[self.count or 0 :]
        since = made.at - (self.age if self.age is not None else 0.0)
        return [name for name in reversed(beyond) if found[name].at < min(made.at, since)]
