"""Patience ends a run only where its rows can tell; the figures are those of the textbooks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from loratui.core.diagnosis import Curves, diagnose
from loratui.core.early_stopping import (
    Change,
    change,
    end_words,
    ends,
    interval_words,
    undecided_afterwards,
    undecided_words,
)
from loratui.core.plan import Plan
from loratui.core.quantiles import student_quantile

TABLE = {
    0.975: {1: 12.7062, 2: 4.30265, 3: 3.18245, 5: 2.57058, 10: 2.22814, 30: 2.04227, 120: 1.97993},
    0.9995: {1: 636.619, 2: 31.5991, 3: 12.9240, 5: 6.8688, 10: 4.5869, 30: 3.6460, 120: 3.3735},
}


@pytest.mark.parametrize("share", TABLE)
def test_students_t_is_that_of_the_tables(share: float) -> None:
    for freedom, value in TABLE[share].items():
        assert student_quantile(share, freedom) == pytest.approx(value, rel=2e-4)


def test_the_interval_of_two_looks_is_the_paired_t_test_of_rows_that_weigh_alike() -> None:
    """Rows of one token each: mean and standard error of the differences, from the textbook."""
    before, now = [2.0] * 12, [2.1, 2.3, 1.9, 2.0, 2.4, 2.2, 1.8, 2.1, 2.5, 2.0, 2.2, 2.3]
    moved = [later - 2.0 for later in now]
    mean = sum(moved) / 12
    error = math.sqrt(sum((one - mean) ** 2 for one in moved) / 11 / 12)
    found = change(40, before, now, [1] * 12, looks=2)
    assert (found.step, found.before, found.rows) == (40, 2.0, 12)
    assert found.difference == pytest.approx(mean, abs=1e-6)
    half = 2.20099 * error  # Student's t of 11 degrees of freedom, 97.5 %
    assert found.low == pytest.approx(mean - half, abs=1e-5) and found.high == pytest.approx(mean + half, abs=1e-5)
    assert found.told == "worse"
    more = change(40, before, now, [1] * 12, looks=20)
    assert more.error == pytest.approx(error, abs=1e-6)
    assert (more.alone.low, more.alone.high) == (
        pytest.approx(found.low, abs=1e-5),
        pytest.approx(found.high, abs=1e-5),
    )
    assert more.low is not None and found.low is not None and more.low < found.low and more.told == "unknown"


def test_rows_weigh_by_their_tokens() -> None:
    found = change(1, [100.0, 10.0], [110.0, 10.0], [50, 5], looks=2)
    assert found.difference == pytest.approx(10 / 55, abs=1e-6) and found.before == 2.0


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (Change(before=2.0, low=0.01, high=0.09, rows=50), "worse"),
        (Change(before=2.0, low=-0.019, high=0.03, rows=50), "no better"),
        (Change(before=2.0, low=-0.021, high=0.03, rows=50), "unknown"),
        (Change(before=2.0, low=-0.5, high=-0.1, rows=50), "better"),
        (Change(before=2.0, low=0.5, high=0.6, rows=9), "unknown"),
        (Change(before=2.0, rows=1), "unknown"),
    ],
)
def test_what_the_rows_can_tell(since: Change, told: str) -> None:
    assert since.told == told
    assert ends(3, 3, since) == (told in ("worse", "no better"))
    assert not ends(2, 3, since) and not ends(3, 0, since), "never before patience is used up, and never without any"


def test_without_the_rows_patience_alone_decides_and_says_so() -> None:
    assert ends(3, 3, None) and not ends(2, 3, None)
    assert "patience alone decided" in end_words(3, 40, None)


def test_the_interval_is_told() -> None:
    since = Change(step=40, before=2.0, difference=0.05, low=0.012, high=0.088, rows=1234)
    assert interval_words(since) == "95 % between +0.012 and +0.088, 1,234 rows"
    assert interval_words(since) in end_words(3, 40, since) and "risen" in end_words(3, 40, since)
    few = since.model_copy(update={"rows": 3})
    words = undecided_words(3, few)
    assert "3 rows" in words and "goes on" in words
    past = undecided_afterwards(words, finished=True)
    assert (
        past.endswith("training went on, and the checkpoint with the lowest loss is the result.") and "3 rows" in past
    )
    assert undecided_afterwards(words, finished=False).endswith("3 rows): training went on.")


def curves(**more: object) -> Curves:
    """A run whose held-out loss was lowest at step 20 and has risen by a tenth since, while the training loss fell."""
    steps = list(range(1, 61))
    usual = Curves(
        steps,
        [3.0 * 0.97**step for step in steps],
        eval_steps=[10, 20, 30, 40, 50],
        eval_losses=[2.2, 2.0, 2.05, 2.12, 2.2],
        total_steps=100,
    )
    return replace(usual, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "rows", "found"),
    [(0.02, 200, True), (0.08, 20, True), (0.11, 20, False), (0.08, 3, False)],
    ids=["told", "alone", "noise", "three"],
)
def test_learning_by_heart_is_said_where_the_rows_tell_it(error: float, rows: int, found: bool) -> None:
    """A warning takes 95 % for its own comparison alone; what ends a run, for all evaluations together."""
    last = Change(
        step=20, before=2.0, difference=0.2, low=0.2 - 4 * error, high=0.2 + 4 * error, error=error, rows=rows
    )
    told = [one for one in diagnose(curves(changes=[None] * 4 + [last]), Plan()) if one.kind == "overfitting"]
    assert bool(told) is found
    assert not found or interval_words(last.alone) in told[0].message
    assert any(one.kind == "overfitting" for one in diagnose(curves(), Plan())), "older runs are judged as they were"


def test_a_part_that_worsens_while_the_whole_gets_better_is_named() -> None:
    falling = {"eval_losses": [2.2, 2.0, 1.9, 1.8, 1.7], "base_loss": 2.5}
    worse = Change(step=0, before=1.0, difference=0.3, low=0.2, high=0.4, rows=40)
    noise = worse.model_copy(update={"low": -0.1})
    found = diagnose(curves(part_changes={"orders": worse, "chats": noise}, **falling), Plan())
    (told,) = [one for one in found if one.kind == "part-worsens"]
    assert told.message.startswith("orders gets worse while the whole gets better")
    assert "before the first step (1) and is 1.3 now" in told.message and interval_words(worse) in told.message
    rising = curves(part_changes={"orders": worse.model_copy(update={"step": 20})})
    assert all(one.kind != "part-worsens" for one in diagnose(rising, Plan())), "the whole got worse with it"
