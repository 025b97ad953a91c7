"""The names of backups, and which of them are kept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from retrainer.store.backup_names import BackupRetention, NamedBackup, parse_name

DAY = 86400.0
NOW = datetime(2026, 11, 30, 2, 17, tzinfo=UTC).timestamp()


def daily(instance: str = "ml", kind: str = "db", days: int = 5) -> list[str]:
    """Names of one backup a day, the oldest first; the last is of now."""
    return [NamedBackup(NOW - n * DAY, instance, kind).name for n in reversed(range(days))]


MADE = NamedBackup(NOW, "ml", "db")


def test_a_name_says_instance_time_and_kind() -> None:
    assert MADE.name == "ml-20261130T021700Z.db"
    assert parse_name(MADE.name) == MADE
    assert parse_name("a-b.c-20261130T021700Z.dump") == NamedBackup(NOW, "a-b.c", "dump")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("notes.txt", id="another file"),
        pytest.param(".ml-20261130T021700Z.db.x7.part", id="an incomplete backup"),
        pytest.param("ml-20261130T021700Z.db-wal", id="a log"),
        pytest.param("ml-20261399T021700Z.db", id="no such month"),
        pytest.param("-20261130T021700Z.db", id="no instance"),
        pytest.param("a/ml-20261130T021700Z.db", id="in a folder below"),
    ],
)
def test_what_is_no_backup(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("count", "age", "kept"),
    [
        pytest.param(None, None, 5, id="all, without a limit"),
        pytest.param(2, None, 2, id="the two newest"),
        pytest.param(1, None, 1, id="the new one only"),
        pytest.param(9, None, 5, id="more than there are"),
        pytest.param(None, 2.5 * DAY, 3, id="those of two and a half days"),
        pytest.param(None, 2 * DAY, 3, id="one of exactly that age"),
        pytest.param(None, 0.0, 1, id="an age of nothing keeps the new one"),
        pytest.param(2, 3.5 * DAY, 4, id="both: what either keeps, here the age"),
        pytest.param(4, DAY / 2, 4, id="both: what either keeps, here the count"),
    ],
)
def test_what_is_kept(count: int | None, age: float | None, kept: int) -> None:
    names = daily()
    assert BackupRetention(count, age).expired(MADE, names) == names[: 5 - kept]


def test_backups_of_others_are_neither_counted_nor_removed() -> None:
    others = [*daily("other"), *daily("ml", "dump"), "notes.txt", "ml-extra-20200101T000000Z.db"]
    assert BackupRetention(2).expired(MADE, [*others, *daily()]) == daily()[:3]


def test_backups_that_are_not_older_than_the_new_one_are_kept() -> None:
    """As after a clock was set back: the newest good backup is never removed, whatever its name says."""
    ahead = [NamedBackup(NOW + n * DAY, "ml", "db").name for n in (1, 2, 3)]
    assert BackupRetention(1, 0.0).expired(MADE, [*daily(), *ahead]) == daily()[:4]
