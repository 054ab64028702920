"""Wrapping a growing text gives the same rows as wrapping it at once, and loses nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from loratui.tui.playground.growing_text import GrowingText, wrap

texts = st.text(st.sampled_from("ab 漢é\n"), max_size=80)


@given(st.lists(texts, max_size=8), st.integers(2, 20))
def test_pieces_wrap_as_the_whole(pieces: list[str], width: int) -> None:
    grown, whole = GrowingText(width), GrowingText(width)
    for piece in pieces:
        before = list(grown.rows)
        changed = grown.append(piece)
        assert grown.rows[:changed] == before[:changed]
    whole.append("".join(pieces))
    assert grown.rows == whole.rows
    assert grown.text == "".join(pieces)
    again = GrowingText(3)
    again.append("".join(pieces))
    again.resize(width)
    assert again.rows == whole.rows


@given(texts, st.integers(2, 20))
def test_rows_fit_and_keep_every_letter(text: str, width: int) -> None:
    line = text.replace("\n", "")
    rows = wrap(line, width)
    assert all(cell_len(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == line.replace(" ", "")


def test_words_stay_whole_where_they_fit() -> None:
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert wrap("abcdefghijkl mn", 5) == ["abcde", "fghij", "kl mn"]
