"""The figures of a run in the lines that there are: where they run short, two share a line, and parts are summed up."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from loratui.format import one_line
from loratui.runs.times import IN_ALL
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import PARTS_SHOWN, PEAK, PREDICTED, facts

LABEL, NARROW_LABEL = 14, 12
NARROW = 34
"""Columns below which names are the shorter ones, so that notes keep their place."""
NARROW_NAMES = {"learning rate": "rate", "gradient norm": "norm"}
Figure = tuple[str, str, str]
"""Name, value and note."""

PAIRS = (
    ((IN_ALL, IN_ALL), ("checkpoint", "saved")),
    (("loss", "loss"), ("smoothed", "smoothed")),
    ((PEAK, "peak"), (PREDICTED, "est.")),
    (("speed", "tokens/s"), ("tokens", "tokens")),
    (("learning rate", "rate"), ("gradient norm", "norm")),
    (("exact match", "exact"), ("accuracy", "accuracy")),
)
"""Figures that share a line where lines run short, with their shorter names; the first pair is the first to do so."""


def fitting_figures(
    record: RunRecord, predicted_bytes: int | None, width: int, height: int, *, without: Sequence[str] = ()
) -> list[Content]:
    """The figures in `height` lines of `width` columns, each on its own while that fits; where none of it fits, in the
    fewest lines. without: names of figures that are not told.
    """
    lines: list[Content] = []
    for parts in range(PARTS_SHOWN, 0, -1):
        figures = [figure for figure in facts(record, predicted_bytes, parts) if figure[0] not in without]
        for folded in range(len(PAIRS) + 1):
            lines = _folded(figures, folded, width)
            if len(lines) <= height:
                return lines
    return lines


def _folded(figures: Sequence[Figure], pairs: int, width: int) -> list[Content]:
    """The figures with so many pairs on a line each, in the place of the pair's first."""
    shared: dict[str, Content] = {}
    gone: set[str] = set()
    known = {name: value for name, value, _ in figures}
    for (left, short_left), (right, short_right) in PAIRS[:pairs]:
        line = _pair(short_left, known.get(left), short_right, known.get(right), width)
        if line is not None:
            shared[left] = line
            gone.add(right)
    compared = any(name == PEAK and note and _has_room(note, value, width) for name, value, note in figures)
    lines = []
    for name, value, note in figures:
        if name not in gone:
            said = "" if compared and name == PREDICTED else note  # once is enough
            lines.append(shared.get(name) or _line((name, value, said), width))
    return lines


def _label(width: int) -> int:
    """Columns of the names."""
    return LABEL if width >= NARROW else NARROW_LABEL


def _has_room(note: str, value: str, width: int) -> bool:
    return _label(width) + len(value) + 1 + len(note) <= width


def _line(figure: Figure, width: int) -> Content:
    name, value, note = figure
    label = _label(width)
    name = one_line(name if width >= NARROW else NARROW_NAMES.get(name, name), label - 1)  # a part's may be long
    shown = note if _has_room(note, value, width) else ""
    return Content.assemble((f"{name:<{label}}", "$text-muted"), (value, "$foreground"), (f" {shown}", "$text-muted"))


def _pair(left: str, value: str | None, right: str, other: str | None, width: int) -> Content | None:
    """Two figures on one line, the second from the middle on where the first leaves it; None where they do not fit."""
    if value is None or other is None:
        return None
    gap = max(2, width // 2 + 1 - len(left) - 1 - len(value))
    room = width - len(left) - len(value) - len(right) - len(other) - 2
    if room < 1:
        return None
    return Content.assemble(
        (f"{left} ", "$text-muted"),
        (value, "$foreground"),
        (" " * min(gap, room) + f"{right} ", "$text-muted"),
        (other, "$foreground"),
    )
