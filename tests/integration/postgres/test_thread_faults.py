"""Intake and drain threads of replicas are killed: acknowledged events are decided nevertheless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.sources.base import Batch
from retrainer.util import failpoints, supervision
from tests.integration.postgres.test_inbox import events, ledger, offsets, replicas
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.postgres.server import Postgres

__all__ = ["ledger"]


@pytest.fixture(autouse=True)
def ends() -> Iterator[list[str]]:
    """The messages with which the process would have exited."""
    lines: list[str] = []
    supervision.arm(lines.append)
    yield lines
    failpoints.disarm()
    supervision.disarm()


def test_a_porter_that_dies_folds_in_what_comes_after(
    postgres: Postgres, database: str, ledger: Any, ends: list[str]
) -> None:
    failpoints.arm("inbox-drainer", "raise", 3)
    with replicas(postgres.url(database), 2) as (leader, standby):
        leader.lead()
        standby.stand_by()
        until(
            lambda: any(w.kind == "inbox-drainer" and w.restarts for w in supervision.running()),
            "it died",
        )
        epoch = standby.gate.claim("topic", "orders/0", "t", 0).epoch
        taken = standby.gate.offer(Batch("topic", events(0, 3), 0.0, offsets=offsets(epoch, 0, 3)))
        assert list(taken.result(10).outcomes) == ["accepted"] * 3
        until(lambda: ledger() == ["e0", "e1", "e2"], "they are folded in")
    assert not ends


def test_a_relay_that_dies_ends_the_process_and_acknowledges_nothing(
    postgres: Postgres, database: str, ledger: Any, ends: list[str]
) -> None:
    with replicas(postgres.url(database), 2) as (leader, standby):
        leader.lead()
        standby.stand_by()
        epoch = standby.gate.claim("topic", "orders/0", "t", 0).epoch
        failpoints.arm("standby-intake", "raise")
        taken = standby.gate.offer(Batch("topic", events(0, 3), 0.0, offsets=offsets(epoch, 0, 3)))
        until(lambda: ends, "the process ends")
        assert "`standby-intake`" in ends[0]
        assert not taken.done()
        assert ledger() == []
