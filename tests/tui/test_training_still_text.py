"""Only cells that changed are asked to be painted, and they cover every change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from loratui.tui.common.still_text import changed_cells

pieces = st.lists(st.tuples(st.text("ab1漢", max_size=6), st.sampled_from(["", "bold", "red"])), max_size=5)


def cells(line: Content, width: int) -> list[tuple[str, frozenset[str]]]:
    found: list[tuple[str, frozenset[str]]] = []
    for place, letter in enumerate(line.plain):
        styles = frozenset(str(span.style) for span in line.spans if span.start <= place < span.end)
        found += [(letter, styles)] * Content(letter).cell_length
    return found + [(" ", frozenset())] * (width - len(found))


@given(pieces, pieces)
def test_every_changed_cell_is_covered(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    old, new = Content.assemble(*before), Content.assemble(*after)
    width = max(old.cell_length, new.cell_length)
    first, last = changed_cells(old, new)
    different = [place for place, (a, b) in enumerate(zip(cells(old, width), cells(new, width), strict=True)) if a != b]
    assert not different or (first <= different[0] and different[-1] < last)


def test_one_digit_is_one_cell() -> None:
    def line(number: int) -> Content:
        return Content.assemble(("step ", "dim"), (f"{number}", "bold"), (" of 375", "dim"))

    assert changed_cells(line(142), line(143)) == (7, 8)
    assert changed_cells(line(142), line(142)) == (0, 0)
