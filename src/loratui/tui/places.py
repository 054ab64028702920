"""Folders of a user's own settings: presets and themes."""

from __future__ import annotations

import os
from pathlib import Path


def config_home() -> Path:
    """`$LORATUI_CONFIG`, or the platform's folder for settings."""
    if given := os.environ.get("LORATUI_CONFIG"):
        return Path(given)
    from platformdirs import user_config_path

    return user_config_path("loratui")


def user_presets_path() -> Path:
    """A user's own presets."""
    return config_home() / "presets"


def user_themes_path() -> Path:
    """A user's own themes."""
    return config_home() / "themes"
