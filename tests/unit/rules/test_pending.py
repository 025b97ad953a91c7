"""Pending data is walked back from a known amount, and is unknown where the changes do not add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrainer.rules.pending import Change, steps_back


def arrived(at: float, amount: float = 1.0) -> Change:
    return Change(at, "arrived", amount)


def test_a_run_takes_all_and_the_next_batch_begins_at_zero() -> None:
    changes = [arrived(50), Change(40, "taken", 2), arrived(30), arrived(20)]
    assert steps_back(changes, 0, 60, 1)[::-1] == [(0, 0), (20, 1), (30, 2), (40, 2), (40, 0), (50, 1), (60, 1)]


def test_what_a_failed_run_returned_is_pending_again() -> None:
    changes = [Change(50, "returned", 2), Change(40, "taken", 2), arrived(30), arrived(20)]
    assert steps_back(changes, 0, 60, 2)[::-1] == [(0, 0), (20, 1), (30, 2), (40, 2), (40, 0), (50, 2), (60, 2)]


@pytest.mark.parametrize(
    ("changes", "pending"),
    [
        pytest.param([arrived(50), arrived(45), Change(40, "taken", 1)], 1, id="more arrived than is pending"),
        pytest.param([Change(40, "taken", 1)], 3, id="less arrived than is pending"),
        pytest.param([arrived(50), Change(40, "taken", 1)], None, id="the last amount is not known"),
    ],
)
def test_amounts_that_do_not_add_up_are_unknown_and_known_again_before_the_run(
    changes: list[Change], pending: float | None
) -> None:
    steps = steps_back([*changes, arrived(10)], 0, 60, pending)
    assert all(value is None for at, value in steps if at > 40)
    assert [value for at, value in steps if at <= 40] == [None, 1, 1, 0]


@given(st.lists(st.tuples(st.sampled_from(["arrive", "take"]), st.integers(1, 9)), max_size=60))
def test_it_is_the_inverse_of_what_happened(story: list[tuple[str, int]]) -> None:
    pending, changes, happened = 0, [], []
    for at, (what, amount) in enumerate(story):
        taken = pending
        pending = 0 if what == "take" else pending + amount
        changes.append(Change(at, "taken", taken) if what == "take" else arrived(at, amount))
        happened.append((at, pending))
    steps = steps_back(changes[::-1], 0, len(story), pending)[::-1]
    assert steps[-1][1] == pending
    assert {(at, value) for at, value in steps if value is not None} >= set(happened)
