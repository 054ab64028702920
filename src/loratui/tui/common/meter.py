"""A bar of eighth blocks in one line."""

from __future__ import annotations

EIGHTHS = " ▏▎▍▌▋▊▉"


def meter(used: float, total: float, width: int) -> tuple[str, str]:
    """A bar of so many cells: the filled part and the rest."""
    eighths = round(width * 8 * min(1.0, max(0.0, used / total if total else 0.0)))
    full, part = divmod(eighths, 8)
    filled = "█" * full + (EIGHTHS[part] if part else "")
    return filled, "·" * (width - len(filled))
