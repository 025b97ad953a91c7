"""The plan of faults is repeatable and bounded, and spares what it has to."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.soak.plan import ALWAYS, CLUSTER, LONGEST, QUIET_AT_END, QUIET_AT_START, SPARING_NOBODY, early, plan

SEEDS = range(20)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another_one() -> None:
    assert plan(7, 60) == plan(7, 60)
    assert plan(7, 60) != plan(8, 60)


@pytest.mark.parametrize("minutes", [pytest.param(3, id="as in CI"), pytest.param(60, id="an hour")])
def test_faults_follow_each_other_and_leave_quiet_ends(minutes: float) -> None:
    for seed in SEEDS:
        faults = plan(seed, minutes)
        assert faults[0].at >= QUIET_AT_START
        assert all(before.at + before.seconds < after.at for before, after in pairwise(faults))
        assert faults[-1].at + faults[-1].seconds <= 60 * minutes - QUIET_AT_END
        assert max(fault.seconds for fault in faults) <= LONGEST


def test_an_hour_has_every_kind_of_fault() -> None:
    for seed in SEEDS:
        kinds = {(fault.part, fault.kind) for fault in plan(seed, 60)}
        assert kinds == set(ALWAYS) | set(SPARING_NOBODY)


def test_after_the_first_fifth_nothing_ends_a_or_takes_the_lead_from_it() -> None:
    lease = 10.0
    for seed in SEEDS:
        late = [fault for fault in plan(seed, 60) if fault.at >= early(60)]
        of_a = [fault for fault in late if fault.part in ("a", "a-postgres", "postgres", "backend")]
        assert of_a
        assert {fault.kind for fault in of_a if fault.part == "a"} == {"freeze"}
        assert max(fault.seconds for fault in of_a) < lease / 2


def test_parts_that_are_spared_change_nothing_for_the_others() -> None:
    for seed in SEEDS:
        faults, spared = plan(seed, 60), plan(seed, 60, CLUSTER)
        assert [fault for fault in faults if fault.part not in CLUSTER] == spared
        assert len(spared) < len(faults)


def test_three_minutes_have_some_faults() -> None:
    assert min(len(plan(seed, 3)) for seed in SEEDS) >= 5
