"""Our themes: legible at 256 colours, states apart for all eyes; a broken file is named and passed over."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from rich._palettes import EIGHT_BIT_PALETTE
from rich.color import Color as RichColor
from rich.color import ColorSystem, ColorTriplet
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme
from wizard import wizard

from loratui.tui.frame.headroom_bar import FILLS
from loratui.tui.themes import VARIABLES, ThemeError, load_themes, read_theme

THEMES, PROBLEMS = load_themes()
RGB = tuple[int, int, int]
# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB
EYES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "deuteranope": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "protanope": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
}


def at_256(color: RGB) -> RGB:
    down = RichColor.from_triplet(ColorTriplet(*color)).downgrade(ColorSystem.EIGHT_BIT)
    red, green, blue = EIGHT_BIT_PALETTE[down.number or 0]
    return red, green, blue


def linear(channel: float) -> float:
    channel /= 255
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def contrast(first: RGB, second: RGB) -> float:
    """WCAG 2.2, relative luminance."""
    shades = []
    for color in (first, second):
        red, green, blue = (linear(channel) for channel in color)
        shades.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(shades) / min(shades)


def lab(color: RGB, eye: str) -> tuple[float, float, float]:
    raw = [linear(channel) for channel in color]
    red, green, blue = (min(1.0, max(0.0, sum(k * c for k, c in zip(row, raw, strict=True)))) for row in EYES[eye])
    parts = [
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883,
    ]
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in parts)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(first: RGB, second: RGB, eye: str) -> float:
    return sum((a - b) ** 2 for a, b in zip(lab(first, eye), lab(second, eye), strict=True)) ** 0.5


def rgb(theme: Theme, name: str) -> RGB:
    return Color.parse(theme.to_color_system().generate()[name]).rgb


def grounds(theme: Theme) -> list[RGB]:
    return [rgb(theme, name) for name in ("background", "surface", "panel")]


def test_three_of_our_own_load() -> None:
    assert not PROBLEMS
    assert {theme.name for theme in THEMES} >= {"loratui-dark", "loratui-light", "loratui-contrast"}


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
class TestTheme:
    def test_three_grounds_stay_apart_at_256_colours(self, theme: Theme) -> None:
        assert len({at_256(ground) for ground in grounds(theme)}) == 3

    @pytest.mark.parametrize(
        ("name", "least"),
        [("foreground", 7.0), ("text-muted", 4.5), ("primary", 4.5), ("error", 4.5), ("success", 4.5)],
    )
    def test_contrast(self, theme: Theme, name: str, least: float) -> None:
        ink = rgb(theme, name)
        for ground in grounds(theme):
            assert contrast(ink, ground) >= least
            assert contrast(at_256(ink), at_256(ground)) >= least - 0.2

    @pytest.mark.parametrize("eye", EYES)
    def test_states_are_told_apart(self, theme: Theme, eye: str) -> None:
        states = [rgb(theme, name) for name in ("success", "warning", "error")]
        assert min(distance(a, b, eye) for a, b in combinations(states, 2)) >= 20

    def test_every_part_of_the_memory_has_a_colour(self, theme: Theme) -> None:
        assert {f"memory-{name}" for name in FILLS} == set(VARIABLES)
        assert set(VARIABLES) <= set(theme.variables)


@pytest.mark.parametrize("name", sorted(one.name for one in BUILTIN_THEMES.values() if not one.ansi))
def test_themes_that_are_not_ours_can_be_read_as_well(tmp_path: Path, name: str) -> None:
    """Text of tokyo-night had a contrast of 4.2, and of 3.0 at 256 colours; muted text of nord 4.3 and 3.0."""
    app = wizard(tmp_path)
    app.theme = name
    shown = app.get_css_variables()
    for ink, least in (("foreground", 7.0), ("text-muted", 4.5), ("warning", 4.5), ("error", 4.5), ("success", 4.5)):
        for ground in ("background", "surface", "panel"):
            pair = [Color.parse(shown[one]) for one in (ink, ground)]
            first, second = ((pair[1] + pair[0]) if pair[0].a < 1 else pair[0]).rgb, pair[1].rgb
            assert contrast(first, second) >= least, (ink, ground)
            assert contrast(at_256(first), at_256(second)) >= 4.5, (ink, ground)
    accent = Color.parse(shown["accent"])
    if not shown["block-cursor-foreground"].startswith("auto"):
        assert contrast(Color.parse(shown["block-cursor-foreground"]).rgb, accent.rgb) >= 4.5
    assert app.theme_variables["text-muted"] == shown["text-muted"], "what is painted in code knows it, too"


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_what_our_own_themes_write_elsewhere_can_be_read(theme: Theme) -> None:
    """Keys, warnings, and the words on what the cursor is on; marks and bars need 3."""
    colors = theme.to_color_system().generate() | theme.variables
    read = {name: Color.parse(value).rgb for name, value in colors.items() if value.startswith("#")}
    for ink in ("warning", "accent", "footer-key-foreground"):
        assert all(contrast(read[ink], ground) >= 4.5 for ground in grounds(theme)), ink
    assert contrast(read["block-cursor-foreground"], read["accent"]) >= 4.5
    assert contrast(read["block-cursor-blurred-foreground"], read["block-cursor-blurred-background"]) >= 7
    assert contrast(read["text-muted"], read["block-cursor-blurred-background"]) >= 4.5
    for name in FILLS:
        if name not in ("free", "reserve"):
            assert contrast(read[f"memory-{name}"], read["surface"]) >= 3, name


BROKEN = {
    "no TOML": ("name = ", "is not TOML"),
    "no colours": ('name = "x"\n', "has no [colors]"),
    "a missing colour": ('name = "x"\n[colors]\nprimary = "#fff"\n', "lacks colors.foreground"),
    "no colour": (
        'name = "x"\n[colors]\n'
        + "".join(
            f'{key} = "#ffffff"\n'
            for key in ("foreground", "background", "surface", "panel", "success", "warning", "error")
        )
        + 'primary = "blau"\n',
        "colors.primary = 'blau'",
    ),
    "an unknown key": ('name = "x"\nfont = "Comic"\n', "unknown key 'font'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_theme_says_why(case: str) -> None:
    text, words = BROKEN[case]
    with pytest.raises(ThemeError) as fault:
        read_theme(text)
    assert words in str(fault.value)


def test_a_broken_file_is_named_and_the_others_load(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('name = "bad"')
    good = Path(__file__).parents[2] / "themes" / "loratui-dark.toml"
    (tmp_path / "good.toml").write_text(good.read_text().replace("loratui-dark", "mine"))
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    themes, problems = load_themes(tmp_path)
    assert [theme.name for theme in themes] == ["mine"]
    assert len(problems) == 2
    assert "bad.toml" in problems[0]
    assert "latin.toml" in problems[1]
