"""Themes that are not ours, made legible: text is moved away from the grounds until it can be read on all of them.

WCAG 2.2's contrast of relative luminance, also as terminals of 256 colours show it (rich's downgrade, which Textual
takes over SSH). Our own themes pass as they are (`tests/tui/test_themes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from textual.color import Color

GROUNDS = ("background", "surface", "panel")
LEAST: Mapping[str, float] = {
    "foreground": 7.0,
    "text-muted": 4.5,
    "foreground-muted": 4.5,
    "success": 4.5,
    "warning": 4.5,
    "error": 4.5,
    "accent": 4.5,
    "footer-key-foreground": 4.5,
}
"""Least contrast with every ground of what is written in these variables."""
LEAST_AT_256 = 4.5
"""Least contrast as 256 colours show it: some grounds come out so light that white itself has no 7."""
STEPS = 20
RGB = tuple[int, int, int]


def legible(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of a theme's variables that have to change, with colours that can be read on its grounds."""
    grounds = [Color.parse(variables[name]) for name in GROUNDS]
    white, black = Color(255, 255, 255), Color(0, 0, 0)
    away = max((white, black), key=lambda end: least_contrast(end, grounds))
    found = {}
    for name, least in LEAST.items():
        ink = _solid(variables[name], grounds[0])
        for step in range(STEPS + 1):
            lifted = ink.blend(away, step / STEPS, alpha=1)
            if least_contrast(lifted, grounds) >= least and least_contrast(lifted, grounds, at_256) >= LEAST_AT_256:
                break
        if step or name == "text-muted":
            found[name] = lifted.hex
    cursors = [Color.parse(found.get("accent", variables["accent"])), Color.parse(variables["block-cursor-background"])]
    now = _solid(variables["block-cursor-foreground"], cursors[-1])
    if least_contrast(now, cursors) < LEAST["text-muted"]:
        found["block-cursor-background"] = cursors[0].hex
        found["block-cursor-foreground"] = max((white, black), key=lambda end: least_contrast(end, cursors[:1])).hex
    return found


def _solid(text: str, ground: Color) -> Color:
    """A theme's colour as it is drawn on a ground; `auto 60%` is the ground's own opposite."""
    if text.startswith("auto"):
        share = float(text.removeprefix("auto").strip().rstrip("%") or 100) / 100
        return ground + ground.get_contrast_text(share)
    color = Color.parse(text)
    return ground + color if color.a < 1 else color


def _as_it_is(color: RGB) -> RGB:
    return color


def least_contrast(ink: Color, grounds: Iterable[Color], see: Callable[[RGB], RGB] = _as_it_is) -> float:
    """With the ground that is nearest to it. see: what the terminal makes of a colour."""
    return min(contrast(see(ink.rgb), see(ground.rgb)) for ground in grounds)


def contrast(first: RGB, second: RGB) -> float:
    """WCAG's contrast of two colours, 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: RGB) -> float:
    parts = [one / 255 for one in color]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def at_256(color: RGB) -> RGB:
    """A colour as a terminal of 256 colours shows it."""
    from rich.color import Color as RichColor
    from rich.color import ColorSystem
    from rich.color_triplet import ColorTriplet
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME

    down = RichColor.from_triplet(ColorTriplet(*color)).downgrade(ColorSystem.EIGHT_BIT)
    red, green, blue = down.get_truecolor(DEFAULT_TERMINAL_THEME)
    return red, green, blue
