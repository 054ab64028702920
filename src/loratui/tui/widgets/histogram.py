"""How long the rows are, in block characters, with the maximum length drawn in."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

BLOCKS = " ▁▂▃▄▅▆▇█"


def histogram(edges: Sequence[int], counts: Sequence[int], limit: int, width: int, height: int) -> Content:
    """`height` lines of bars and one line of the axis; bars of rows beyond `limit` tokens are told apart.

    edges: of the bins in tokens, one more than counts. Empty bins before the first row are left out but for one. A last
    bin that is far wider than the others gathers the rest: it is drawn as wide as they are.
    """
    if not counts or not any(counts):
        return Content("no rows")
    empty = next(number for number, count in enumerate(counts) if count)
    edges, counts = edges[max(0, empty - 1) :], counts[max(0, empty - 1) :]
    cells = max(1, width // len(counts))
    tallest = max(counts)
    beyond = [edges[number] >= limit > 0 for number in range(len(counts))]
    pieces: list[tuple[str, str] | str] = []
    for row in range(height - 1, -1, -1):
        for count, cut in zip(counts, beyond, strict=True):
            eighths = count / tallest * height * 8 - row * 8
            block = BLOCKS[min(8, max(1 if count and not row else 0, round(eighths)))]
            pieces.append((block * cells, "$warning" if cut else "$accent"))
        pieces.append("\n")
    first, last = f"{edges[0]:,}", f"{edges[-1]:,} tokens"
    whole = cells * len(counts)
    mark = next((number for number, cut in enumerate(beyond) if cut), None)
    if mark is None or limit <= 0:
        return Content.assemble(*pieces, (f"{first}{last:>{max(1, whole - len(first))}}", "$text-muted"))
    label = f"▲ {limit:,}"
    place = min(mark * cells, max(0, whole - len(label) - len(last) - 1))
    axis = first.ljust(place)[:place] + label
    return Content.assemble(
        *pieces, (axis[:place], "$text-muted"), (label, "bold $warning"), (f"{last:>{max(len(last) + 1, whole - len(axis))}}", "$text-muted")
    )
