"""Curves: smoothing does not bend a constant, axes hold their values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.core.smoothing import Smoother, Thinned, nice_bounds, nice_step, smooth

finite = st.floats(-1e6, 1e6)


@given(finite, st.integers(1, 50), st.floats(1, 100))
def test_a_constant_stays_itself(value: float, count: int, span: float) -> None:
    assert all(math.isclose(got, value, rel_tol=1e-9, abs_tol=1e-9) for got in smooth([value] * count, span))


@given(st.lists(finite, min_size=1, max_size=40))
def test_the_average_lies_between_the_values(values: list[float]) -> None:
    got = smooth(values, 5)[-1]
    assert min(values) - 1e-6 <= got <= max(values) + 1e-6


def test_values_that_are_not_finite_are_passed_over() -> None:
    assert smooth([1.0, math.nan, math.inf], 5) == [1.0, 1.0, 1.0]
    assert math.isnan(Smoother(5).add(math.nan))


def test_a_small_span_follows_at_once() -> None:
    assert smooth([1.0, 5.0], 1) == [1.0, 5.0]


@given(finite, finite)
def test_bounds_hold_the_values(one: float, other: float) -> None:
    low, high = nice_bounds(min(one, other), max(one, other))
    slack = 1e-6 * max(1.0, abs(one), abs(other))
    assert low <= min(one, other) + slack
    assert high >= max(one, other) - slack
    assert low < high


@pytest.mark.parametrize("tiny", [5e-324, 1e-323, 5e-323, 1e-310, 1e-300])
def test_bounds_hold_what_is_next_to_nothing(tiny: float) -> None:
    for low, high in ((0.0, tiny), (-tiny, tiny), (tiny, tiny), (1.0, 1.0 + tiny)):
        lower, upper = nice_bounds(low, high)
        assert lower <= low <= high <= upper and lower < upper


def test_nice_numbers() -> None:
    assert nice_bounds(0.31, 2.83) == (0.0, 3.0)
    assert [nice_step(value) for value in (0.03, 0.2, 1.1, 2.2, 3.0, 7.0)] == [0.05, 0.2, 2.0, 2.5, 5.0, 10.0]
    assert nice_bounds(math.nan, 1.0) == (0.0, 1.0)


@given(st.lists(finite, min_size=1, max_size=300), st.integers(4, 20))
def test_a_thinned_curve_keeps_extremes_and_its_end(values: list[float], limit: int) -> None:
    curve = Thinned(limit)
    for x, y in enumerate(values):
        curve.add(x, y)
    assert len(curve) <= limit
    assert min(point.low for point in curve.points) == min(values)
    assert max(point.high for point in curve.points) == max(values)
    assert curve.last == values[-1]
    assert curve.xs[-1] == len(values) - 1
    assert curve.xs == sorted(set(curve.xs))


def test_a_resumed_run_does_its_last_steps_again() -> None:
    curve = Thinned()
    for x in range(10):
        curve.add(x, x)
    curve.drop_after(6)
    curve.add(7, 70.0)
    assert curve.xs[-2:] == [6, 7]
    assert curve.last == 70.0


def test_a_million_points_are_quick() -> None:
    curve = Thinned()
    for x in range(1_000_000):
        curve.add(x, 1.0)
    assert len(curve) <= 2048
