"""Themes as data: TOML files that ship with loratui, and a user's own beside them.

A theme file:

    name = "loratui-dark"
    dark = true
    [colors]        # primary, secondary, accent, foreground, background, surface, panel, success, warning, error
    [variables]     # optional: any Textual variable, and loratui's own `memory-weights` … `memory-free`

A file that cannot be used is named with the reason and passed over; the others still load.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

from loratui.files import read_document
from loratui.paths import themes_path

COLORS = (
    "primary",
    "secondary",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "success",
    "warning",
    "error",
)
REQUIRED = ("primary", "foreground", "background", "surface", "panel", "success", "warning", "error")
KEYS = {"name", "dark", "colors", "variables"}

VARIABLES = {
    "memory-weights": "$primary",
    "memory-adapter": "$success",
    "memory-gradients": "$warning",
    "memory-optimizer": "$secondary",
    "memory-activations": "$accent",
    "memory-logits": "$error",
    "memory-overhead": "$foreground-muted",
    "memory-free": "$foreground-disabled",
    "memory-reserve": "$foreground-disabled",
    "memory-others": "$foreground-muted",
}
"""loratui's own variables and what stands for them in a theme that does not know them."""


class ThemeError(ValueError):
    """A theme file cannot be used; the message says which key and why."""


def read_theme(text: str) -> Theme:
    """A theme from the text of its file.

    Raises ThemeError naming the first key that is missing, unknown or no colour.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(f"is not TOML: {error}") from None
    if unknown := sorted(set(document) - KEYS):
        raise ThemeError(f"has an unknown key {unknown[0]!r}; known are {', '.join(sorted(KEYS))}")
    name = document.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ThemeError("has no name")
    colors = document.get("colors")
    if not isinstance(colors, dict):
        raise ThemeError("has no [colors]")
    if missing := [key for key in REQUIRED if key not in colors]:
        raise ThemeError(f"lacks colors.{missing[0]}")
    if unknown := sorted(set(colors) - set(COLORS)):
        raise ThemeError(f"has an unknown key colors.{unknown[0]}; known are {', '.join(COLORS)}")
    for key, value in colors.items():
        check_color(f"colors.{key}", value)
    variables = document.get("variables", {})
    if not isinstance(variables, dict):
        raise ThemeError("has variables that are no table")
    for key, value in variables.items():
        if not isinstance(value, str):
            raise ThemeError(f"has variables.{key} that is no text")
        if key.startswith("memory-"):
            check_color(f"variables.{key}", value)
    return Theme(name=name, dark=bool(document.get("dark", True)), text_alpha=1.0, variables=dict(variables), **colors)


def check_color(key: str, value: Any) -> None:
    """Raise ThemeError where the value is no colour that Textual can read."""
    try:
        Color.parse(value)
    except (ColorParseError, TypeError, AttributeError):
        raise ThemeError(f'has {key} = {value!r}, which is no colour; write it as "#5fafff"') from None


def load_themes(*folders: Path) -> tuple[list[Theme], list[str]]:
    """The themes of these folders (by default those that ship), and one sentence for each file that was passed over."""
    themes: list[Theme] = []
    problems: list[str] = []
    for folder in folders or (themes_path(),):
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            try:
                themes.append(read_theme(read_document(path)))
            except ThemeError as error:
                problems.append(f"The theme file {path.name} was passed over: it {error}.")
            except OSError as error:
                problems.append(f"The theme file {path.name} was passed over: {error.strerror or error}.")
    return themes, problems
