"""Intervals hold the truth as often as they say, and equal models are called equal."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loratui.evaluation.intervals import Interval, interval, paired
from loratui.evaluation.measures import MEASURES, Numbers
from loratui.evaluation.verdict import verdict, words

EXACT, ROUGE, LOSS, TOKENS = (MEASURES[name] for name in ("exact_match", "rougeL", "loss", "tokens"))


def test_no_interval_reaches_where_its_figure_cannot_be() -> None:
    """Three rows stretch far beyond; a loss of less than 0 or 136 points of difference say nothing to anybody."""
    losses = np.array([[0.2, 10.0], [0.01, 10.0], [3.0, 10.0]])
    other = np.array([[40.0, 10.0], [1.0, 10.0], [35.0, 10.0]])
    for name, least in (("loss", 0.0), ("perplexity", 1.0)):
        for rows in (losses, other):
            found = interval(MEASURES[name], rows)
            assert found.low is not None and least <= found.low <= found.value
    right, wrong = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    for name in ("exact_match", "rougeL"):
        apart = paired(MEASURES[name], right, wrong)
        assert apart.low is not None and apart.high is not None and -1 <= apart.low <= apart.high <= 1


@pytest.mark.parametrize("rows", [3, 40])
def test_the_interval_of_perplexity_is_exp_of_the_losses(rows: int) -> None:
    """Three rows of a base had a loss of 7.52 to 11.4, and a perplexity of 1.00 to 65,597."""
    chance = np.random.default_rng(3)
    tokens = chance.integers(5, 60, rows).astype(float)
    numbers = np.stack([chance.normal(10.2, 1.0, rows) * tokens, tokens], axis=1)
    loss, perplexity = (interval(MEASURES[name], numbers) for name in ("loss", "perplexity"))
    assert loss.low is not None and loss.high is not None
    told = [perplexity.value, perplexity.low, perplexity.high]
    assert told == pytest.approx([math.exp(one) for one in (loss.value, loss.low, loss.high)])


def column(values: Numbers) -> Numbers:
    return np.stack([values, np.ones_like(values)], axis=1)


def held(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([one.low is not None and one.low <= truth <= one.high for one in intervals]))  # type: ignore[operator]


@pytest.mark.parametrize(("better", "worse"), [(0.1, 0.1), (0.2, 0.1), (0.08, 0.04)])
def test_the_difference_of_two_shares_is_held_as_often_as_it_is_said(better: float, worse: float) -> None:
    chance = np.random.default_rng(5)
    found = []
    for _ in range(300):
        drawn = chance.random(200)
        one = drawn < better + 0.3
        other = (drawn >= better) & (drawn < better + 0.3 + worse)
        found.append(paired(EXACT, column(one.astype(float)), column(other.astype(float)), draws=400))
    assert 0.925 <= held(found, better - worse) <= 0.985
    if better == worse:
        assert np.mean([verdict(EXACT, one).told == "no difference" for one in found]) >= 0.93


def test_a_share_and_a_mean_are_held_as_often_as_it_is_said() -> None:
    chance = np.random.default_rng(6)
    shares = [interval(EXACT, column((chance.random(60) < 0.9).astype(float)), draws=400) for _ in range(300)]
    means = [interval(ROUGE, column(chance.beta(2, 3, 60)), draws=400) for _ in range(300)]
    losses = []
    for _ in range(300):
        tokens = chance.integers(5, 60, 60).astype(float)
        losses.append(interval(LOSS, np.stack([chance.gamma(4, 0.2, 60) * tokens, tokens], axis=1), draws=400))
    for found, truth in ((shares, 0.9), (means, 0.4), (losses, 0.8)):
        assert 0.92 <= held(found, truth) <= 0.985


def test_few_rows_that_differ_prove_nothing() -> None:
    """Four rows to none is what equal models give one time in eight; eight to none one time in 128."""
    right = np.zeros(200)
    for differing, told in ((0, "no difference"), (4, "no difference"), (8, "better")):
        better = right.copy()
        better[:differing] = 1
        assert verdict(EXACT, paired(EXACT, column(better), column(right))).told == told
    assert paired(EXACT, column(right), column(right)).high == pytest.approx(0.017, abs=0.008), "never quite sure"


def test_a_pair_of_rows_is_no_row_at_all_without_its_other() -> None:
    one, other = column(np.array([1.0, 0, 1, 1])), column(np.array([1.0, 1, 0, 0]))
    one[0] = np.nan
    other[1] = np.nan
    found = paired(EXACT, one, other)
    assert (found.rows, found.value) == (2, 1.0)
    assert paired(EXACT, one[:1], other[:1]).rows == 0 and interval(EXACT, one[:1]).low is None
    assert interval(EXACT, column(np.array([1.0]))).low is None, "one row says nothing"


def test_two_rows_of_bleu_are_no_proof() -> None:
    """`BLEU: better by 98.7 points, 95 % between 98.7 and 98.7, on 2 rows`"""
    from loratui.evaluation.scoring import Given as Answer
    from loratui.evaluation.scoring import Item, Outcome, Rules, figures

    text = "the quick brown fox jumps over"

    def rows(answer: str, count: int) -> Numbers:
        outcomes = [Outcome([Answer(answer, "stop token", 3)]) for _ in range(count)]
        return figures(["bleu"], [Item(row, "q", text) for row in range(count)], outcomes, Rules())["bleu"]

    few = paired(MEASURES["bleu"], rows(text, 2), rows("the brown", 2))
    assert (few.low, few.high) == (None, None) and words(MEASURES["bleu"], few) == "no difference can be told on 2 rows"
    assert interval(MEASURES["bleu"], rows(text, 2)).low is None
    assert paired(MEASURES["bleu"], rows(text, 20), rows("the brown", 20)).low is not None


def test_a_difference_in_words() -> None:
    told = words(EXACT, Interval(0.041, 0.012, 0.07, 200))
    assert told == "better by 4.1 points, 95 % between 1.2 and 7.0, on 200 rows"
    assert words(LOSS, Interval(0.25, 0.1, 0.4, 50)) == "worse by 0.250, 95 % between 0.100 and 0.400, on 50 rows"
    assert words(EXACT, Interval(-0.1, -0.15, -0.05, 80)).startswith("worse by 10.0 points, 95 % between 5.0 and 15.0")
    told = words(EXACT, Interval(0.02, -0.02, 0.06, 200))
    assert told == (
        "no difference can be told (95 % between -2.0 and +6.0 points, on 200 rows); about 1,400 more rows would"
    )
    assert "more rows" not in words(EXACT, Interval(0.0, -0.02, 0.02, 200))


def test_the_rows_that_are_named_tell_the_difference() -> None:
    """Four times in five, as it is said."""
    chance = np.random.default_rng(8)

    def drawn(rows: int) -> Interval:
        both = chance.random(rows)
        one, other = both < 0.5, (both >= 0.06) & (both < 0.54)  # 6 % for the one, 4 % for the other
        return paired(EXACT, column(one.astype(float)), column(other.astype(float)), draws=300)

    half = 1.96 * np.sqrt(0.1 / 400)
    needed = verdict(EXACT, Interval(0.02, 0.02 - half, 0.02 + half, 400)).rows_needed
    assert needed is not None
    told = np.mean([verdict(EXACT, drawn(400 + needed)).told == "better" for _ in range(200)])
    assert 0.7 <= told <= 0.9
