"""Where an answer differs from the expected one: shown at once, however long both are."""

from __future__ import annotations

import random
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given

from loratui.tui.playground.held_out import LONGEST, pieces
from work_done import calls_of


def sides(found: list[tuple[str, str]]) -> tuple[str, str]:
    return (
        "".join(text for kind, text in found if kind != "extra"),
        "".join(text for kind, text in found if kind != "missing"),
    )


texts = st.text("ab \n,.", max_size=40)


@given(texts, texts)
def test_nothing_of_either_is_lost(expected: str, answer: str) -> None:
    assert sides(pieces(expected, answer)) == (expected, answer)


def numbers(seed: int) -> str:
    draw = random.Random(seed)
    return ('{"a": [' + ", ".join(str(draw.randint(0, 9)) for _ in range(LONGEST // 3)))[:LONGEST]


def words(seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randint(0, 400)}" for _ in range(LONGEST // 4))[:LONGEST]


@pytest.mark.parametrize("made", [numbers, words])
def test_long_texts_that_differ_everywhere_do_not_hold_the_screen_up(made: Callable[[int], str]) -> None:
    expected, answer = made(1), made(2)
    found: list[tuple[str, str]] = []
    calls = calls_of(lambda: found.extend(pieces(expected, answer)))
    assert calls < 500_000, "some 120,000 of 20,000 characters"
    assert sides(found) == (expected, answer)


def test_one_wrong_word_of_a_long_text_is_still_the_only_one_marked() -> None:
    expected = numbers(1)
    answer = expected[:9000] + "nonsense" + expected[9000:]
    found = pieces(expected, answer)
    assert sides(found) == (expected, answer) and len(found) <= 4
    assert sum(len(text) for kind, text in found if kind == "same") > LONGEST - 20
