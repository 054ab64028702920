"""The learning rate over a run, in block characters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"


def rate_curve(points: Sequence[tuple[int, float]], width: int, height: int) -> list[str]:
    """Lines from top to bottom: the height of each column is the rate there, as a share of the peak.

    points: (step, rate), ascending. A column shows the rate at its middle, between the points by a straight line.
    """
    if len(points) < 2 or width < 2:
        return [""] * height
    peak = max(rate for _, rate in points) or 1.0
    first, last = points[0][0], points[-1][0]
    columns = []
    place = 0
    for column in range(width):
        step = first + (last - first) * (column + 0.5) / width
        while place + 2 < len(points) and points[place + 1][0] < step:
            place += 1
        (left, low), (right, high) = points[place], points[place + 1]
        share = (step - left) / (right - left) if right > left else 0.0
        columns.append((low + (high - low) * min(1.0, max(0.0, share))) / peak)
    lines = []
    for row in range(height):
        floor = height - 1 - row
        lines.append(
            "".join(
                BLOCKS[max(0 if row < height - 1 else 1, min(8, round((share * height - floor) * 8)))]
                for share in columns
            )
        )
    return lines
