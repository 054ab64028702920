"""The figure beside the memory's bar."""

from __future__ import annotations

import pytest

from loratui.tui.frame.headroom_bar import MemoryView, taken_words

GIB = 2**30


@pytest.mark.parametrize(
    ("total", "upper", "band", "said"),
    [
        (0.708, 0.712, None, "0.71"),  # it said "0.71 to 0.71"
        (0.708, 0.74, None, "0.71 to 0.74"),
        (0.708, 0.0, None, "0.71"),
        (0.708, 0.74, 0.05, "0.71 ±5 %"),
    ],
)
def test_two_ends_that_read_the_same_are_one_figure(total: float, upper: float, band: float | None, said: str) -> None:
    view = MemoryView("GPU", (), round(total * GIB), 8 * GIB, 0, 0, upper=round(upper * GIB), band=band)
    assert taken_words(view) == said
