"""Where a person's runs, memories and settings live on this machine: the one rule for each. What ships is in
`resources`."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "LORATUI_HOME"
CONFIG_VARIABLE = "LORATUI_CONFIG"


def home() -> Path:
    """`$LORATUI_HOME`, or the platform's user data folder. Not created here."""
    if chosen := os.environ.get(HOME_VARIABLE, ""):
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("loratui", appauthor=False)


def config_home() -> Path:
    """`$LORATUI_CONFIG`, or the platform's folder of settings: presets and themes of the person's own. Not created
    here."""
    if chosen := os.environ.get(CONFIG_VARIABLE, ""):
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("loratui", appauthor=False)


def user_presets_path() -> Path:
    """Folder of the person's own presets; it may not exist yet."""
    return config_home() / "presets"


def user_themes_path() -> Path:
    """Folder of the person's own themes; it may not exist yet."""
    return config_home() / "themes"


def runs_home() -> Path:
    """Folder whose subfolders are the runs."""
    return home() / "runs"


def state_home() -> Path:
    """Folder of the wizard's drafts and of what is remembered between sessions."""
    return home() / "state"
