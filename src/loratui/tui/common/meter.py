"""A bar in eighths of a cell."""

from __future__ import annotations

EIGHTHS = " ▏▎▍▌▋▊▉"


def meter(used: float, total: float, width: int) -> tuple[str, str]:
    """The filled part of a bar of `width` cells, and its rest."""
    eighths = round(width * 8 * min(1.0, max(0.0, used / total if total else 0.0)))
    full, part = divmod(eighths, 8)
    filled = "█" * full + (EIGHTHS[part] if part else "")
    return filled, "·" * (width - len(filled))


def at_least_seen(share: float, width: int) -> str:
    """A bar for this share of `width` cells, padded with blanks; what is there at all is seen."""
    filled, _ = meter(max(share, 1 / 8 / max(1, width)), 1.0, width)
    return f"{filled:<{width}}"
