"""The remaining budget: the bounds of its period, reservations, and that no run starts beyond the budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrainer.config.models import Budget
from retrainer.rules.admission import AdmissionRequest, BudgetBalance, Capacity, admit
from retrainer.rules.budget import Spent, remaining_budget

NOW, HOUR = 1_800_000_000.0, 3600.0
RUNS = Budget(runs=2, per="1h")
HOURS = Budget(gpu_hours=10, per="1h")
BOTH = Budget(runs=3, gpu_hours=10, per="1h")


def ago(seconds: float, hours: float = 0.0, *, reserved: bool = False) -> Spent:
    return Spent(NOW - seconds, hours, reserved)


@pytest.mark.parametrize(
    ("spent", "runs", "until"),
    [
        pytest.param([], 2, None, id="nothing was spent"),
        pytest.param([ago(HOUR - 1), ago(1)], 0, NOW + 1, id="the first leaves in a second"),
        pytest.param([ago(HOUR), ago(1)], 1, None, id="a stretch later to the second the first counts no more"),
        pytest.param([ago(HOUR + 1), ago(HOUR + 1), ago(0)], 1, None, id="what lies before the stretch is no matter"),
        pytest.param([ago(0), ago(0)], 0, NOW + HOUR, id="what starts this very moment counts"),
        pytest.param([ago(30), ago(20), ago(10)], 0, NOW + HOUR - 20, id="one too many: two have to leave"),
    ],
)
def test_runs_within_any_stretch(spent: list[Spent], runs: int, until: float | None) -> None:
    left = remaining_budget(RUNS, spent, 0.0, NOW)
    assert (left.runs, left.until) == (runs, until)


@pytest.mark.parametrize(
    ("spent", "reserve", "runs", "until"),
    [
        pytest.param([], 4.0, 2, None, id="two reserves fit, a third would go beyond"),
        pytest.param([], 5.0, 2, None, id="the limit itself may be reached"),
        pytest.param([ago(60, 6)], 4.0, 1, None, id="what was spent and one reserve reach the limit"),
        pytest.param([ago(60, 6.01)], 4.0, 0, NOW + HOUR - 60, id="a little more, and it waits"),
        pytest.param([ago(60, 6, reserved=True)], 5.0, 0, NOW + HOUR - 60, id="a run on its way keeps its reserve"),
        pytest.param([ago(60, 8), ago(30, 6)], 4.0, 0, NOW + HOUR - 60, id="spent beyond: one has to leave"),
        pytest.param([ago(60, 1), ago(30, 9)], 4.0, 0, NOW + HOUR - 30, id="the first to leave is not enough"),
        pytest.param([], 11.0, 0, None, id="a reserve beyond the limit never fits"),
        pytest.param([ago(60, 10)], 0.0, 0, NOW + HOUR - 60, id="all is spent: also a run that keeps nothing waits"),
        pytest.param([ago(60, 9.99)], 0.0, 1_000_000, None, id="something is left: a run that keeps nothing starts"),
    ],
)  # fmt: skip
def test_gpu_hours_with_what_is_reserved(spent: list[Spent], reserve: float, runs: int, until: float | None) -> None:
    left = remaining_budget(HOURS, spent, reserve, NOW)
    assert (left.runs, left.until) == (runs, until)


@pytest.mark.parametrize(
    ("spent", "runs", "until"),
    [
        pytest.param([ago(50, 1), ago(40, 1)], 1, None, id="the runs are scarcer"),
        pytest.param([ago(50, 7)], 1, None, id="the hours are scarcer"),
        pytest.param([ago(50, 1), ago(40, 8), ago(30, 1)], 0, NOW + HOUR - 40, id="runs are back before hours are"),
    ],
)
def test_of_two_limits_the_scarcer_counts(spent: list[Spent], runs: int, until: float | None) -> None:
    left = remaining_budget(BOTH, spent, 3.0, NOW)
    assert (left.runs, left.until) == (runs, until)


def test_a_reserve_beyond_the_limit_is_said_to_be_so() -> None:
    assert "the reserve of one run, 11 GPU hours, exceeds the budget" in remaining_budget(HOURS, [], 11.0, NOW).detail


SPENT = st.lists(
    st.builds(Spent, st.integers(0, 120).map(lambda m: NOW - 60.0 * m), st.integers(0, 8).map(float)), max_size=8
).map(lambda runs: sorted(runs, key=lambda run: run.at))
BUDGETS = st.builds(
    lambda runs, hours: Budget(runs=runs, gpu_hours=hours, per="1h"),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(1, 20).map(float),
)
RESERVES = st.integers(0, 6).map(float)


def fits(budget: Budget, spent: list[Spent], now: float, starts: int, reserve: float) -> bool:
    """Whether ``starts`` runs may start at ``now``, by an independent implementation."""
    inside = [run for run in spent if now - HOUR < run.at <= now]
    hours = sum(run.hours for run in inside)
    runs_fit = budget.runs is None or len(inside) + starts <= budget.runs
    hours_fit = budget.gpu_hours is None or (hours < budget.gpu_hours and hours + starts * reserve <= budget.gpu_hours)
    return runs_fit and hours_fit


@given(BUDGETS, SPENT, RESERVES)
def test_all_that_may_start_fits_and_one_more_does_not(budget: Budget, spent: list[Spent], reserve: float) -> None:
    left = remaining_budget(budget, spent, reserve, NOW)
    if left.runs > 0:
        assert fits(budget, spent, NOW, min(left.runs, 1000), reserve)
    bounded = budget.runs is not None or (budget.gpu_hours is not None and reserve > 0)
    if bounded or left.runs <= 0:
        assert not fits(budget, spent, NOW, max(left.runs, 0) + 1, reserve)


@given(BUDGETS, SPENT, RESERVES)
def test_the_moment_that_is_promised_is_the_first_at_which_a_run_fits(
    budget: Budget, spent: list[Spent], reserve: float
) -> None:
    left = remaining_budget(budget, spent, reserve, NOW)
    if left.runs > 0:
        return
    moments = [NOW + 60.0 * minute for minute in range(62)]
    assert left.until == next((at for at in moments if fits(budget, spent, at, 1, reserve)), None)


WAITING = st.lists(
    st.builds(
        lambda n, pool, priority, budget, reserve, later: AdmissionRequest(
            f"run-{n:03}", pool, priority, NOW - n, NOW + later, budget, reserve
        ),
        st.integers(0, 999),
        st.sampled_from([None, "gpu"]),
        st.integers(0, 2),
        st.sampled_from(["", "growth", "rule/churn", "gone"]),
        RESERVES,
        st.sampled_from([0.0, 0.0, 0.0, 1.0]),
    ),
    max_size=12,
    unique_by=lambda w: w.run,
)
PURSES = st.fixed_dictionaries(
    {
        name: st.builds(BudgetBalance, st.none() | st.integers(-1, 4), st.none() | st.integers(-2, 12).map(float))
        for name in ("growth", "rule/churn")
    }
)


@given(WAITING, PURSES, st.integers(0, 3), st.integers(0, 3))
def test_no_purse_and_no_pool_is_overdrawn_and_nobody_waits_for_what_is_there(
    waiting: list[AdmissionRequest], balances: dict[str, BudgetBalance], slots: int, used: int
) -> None:
    by_id = {w.run: w for w in waiting}
    before = {name: (balance.runs, balance.hours) for name, balance in balances.items()}
    admitted = admit(waiting, Capacity({"gpu": slots}, {"gpu": used}, balances), NOW)
    assert len(set(admitted)) == len(admitted)
    assert {name: (balance.runs, balance.hours) for name, balance in balances.items()} == before
    left = max(0, slots - used) - sum(by_id[run].pool == "gpu" for run in admitted)
    assert left >= 0
    for name, balance in balances.items():
        paid = [by_id[run] for run in admitted if by_id[run].budget == name]
        assert not paid or balance.runs is None or len(paid) <= balance.runs
        assert (
            not paid or balance.hours is None or (balance.hours > 0 and sum(w.reserve for w in paid) <= balance.hours)
        )
    for w in waiting:
        if w.run in admitted:
            assert w.not_before <= NOW
        elif w.not_before <= NOW and (w.pool is None or left > 0):  # then the balance is too small
            balance = balances[w.budget]
            ahead = [by_id[run] for run in admitted if by_id[run].budget == w.budget]
            no_runs = balance.runs is not None and len(ahead) >= balance.runs
            hours = None if balance.hours is None else balance.hours - sum(other.reserve for other in ahead)
            assert no_runs or (hours is not None and (hours <= 0 or hours < w.reserve))


def test_what_the_allowance_lets_be_born_the_purse_pays_for() -> None:
    """A budget of 0.3 allows three runs of 0.1, although three times 0.1 is not exactly 0.3 in binary."""
    budget = Budget(gpu_hours=0.3, per="1h")
    assert remaining_budget(budget, [], 0.1, NOW).runs == 3
    waiting = [AdmissionRequest(f"run-{n}", None, 0, NOW, NOW, "rule/churn", 0.1) for n in range(4)]
    assert admit(waiting, Capacity({}, {}, {"rule/churn": BudgetBalance(None, 0.3)}), NOW) == [
        "run-0",
        "run-1",
        "run-2",
    ]
