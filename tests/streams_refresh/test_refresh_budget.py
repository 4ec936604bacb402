"""The token budget: what may start now, whatever the clock does."""

from hypothesis import given
from hypothesis import strategies as st

from streams.budget import TokenBudget


def test_a_minute_of_tokens_may_be_spent_at_once_and_then_refills_evenly() -> None:
    budget = TokenBudget(6_000, estimate=1_000)
    assert budget.allows(0) == 6
    budget.spend(6)
    assert budget.allows(0) == 0
    assert budget.allows(10) == 1
    assert budget.allows(1_000) == 6


def test_one_refresh_dearer_than_a_minutes_tokens_still_starts() -> None:
    budget = TokenBudget(500, estimate=2_000)
    assert budget.allows(0) == 1
    budget.spend(1)
    assert budget.allows(100) == 0
    assert budget.allows(250) == 1


def test_answers_that_cost_nothing_soon_wait_for_nothing() -> None:
    budget = TokenBudget(6_000, estimate=1_000, at_most=50)
    for _ in range(200):
        budget.learn(0)
    assert budget.allows(0) == 50


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 20)), max_size=50))
def test_a_clock_that_jumps_never_grants_more_than_a_minute(steps: list[tuple[float, int]]) -> None:
    budget = TokenBudget(6_000, estimate=1_000)
    for now, wanted in steps:
        allowed = budget.allows(now)
        assert 0 <= allowed <= 6
        budget.spend(min(wanted, allowed))
