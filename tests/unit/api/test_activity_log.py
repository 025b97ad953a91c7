"""Refusals are counted by the hour, and kept until the store takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.api.activity_log import HOUR, ActivityLog
from retrainer.engine.core.notifications import ActRecorded
from retrainer.store.base import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Sequence

TRIED = ActRecorded("pause", "fraud", rule="churn", detail="there is no rule 'churn'")


class Table:
    """The rows that were stored, by id."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.busy = False
        self.now = 1_000_000.0
        self.log = ActivityLog(self.write, lambda: self.now)

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        if self.busy:
            raise StoreBusyError("disk full")
        self.rows |= {row["id"]: row for row in rows}

    @property
    def counts(self) -> list[int]:
        return [self.rows[key]["count"] for key in sorted(self.rows)]


def test_equal_refusals_of_an_hour_are_one_row() -> None:
    table = Table()
    for _ in range(3):
        table.log.refused(TRIED)
        table.log.flush()
        table.now += HOUR / 4
    assert table.counts == [3]
    (row,) = table.rows.values()
    assert (row["at"], row["last_at"], row["result"]) == (1_000_000.0, 1_000_000.0 + HOUR / 2, "refused")
    table.now += HOUR / 4
    table.log.refused(TRIED)
    table.log.flush()
    assert table.counts == [3, 1], "the next hour has another row"


def test_what_a_busy_store_does_not_take_is_kept() -> None:
    table = Table()
    table.busy = True
    table.log.refused(TRIED)
    table.log.done(ActRecorded("reload", "platform"))
    with pytest.raises(StoreBusyError):
        table.log.flush()
    table.log.refused(TRIED)
    table.busy = False
    table.log.flush()
    assert sorted(table.counts) == [1, 2]
    table.rows.clear()
    table.log.flush()
    assert not table.rows, "nothing is stored twice"


def test_one_name_does_not_use_up_the_rows_of_another() -> None:
    table = Table()
    for n in range(100):
        table.log.refused(ActRecorded("request", "", address=f"10.0.0.{n}"))
    table.log.refused(TRIED)
    table.log.flush()
    assert len(table.rows) == 21
    assert [row["count"] for row in table.rows.values() if row["target"] == "others"] == [81]
    assert [row["rule"] for row in table.rows.values() if row["by"] == "fraud"] == ["churn"]
