"""Where runs, drafts and settings live on this machine."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "LORATUI_HOME"


def home() -> Path:
    """`$LORATUI_HOME`, or the platform's user data folder. Not created here."""
    chosen = os.environ.get(HOME_VARIABLE, "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("loratui", appauthor=False)


def runs_home() -> Path:
    """Folder whose subfolders are the runs."""
    return home() / "runs"


def state_home() -> Path:
    """Folder of the wizard's drafts and of what is remembered between sessions."""
    return home() / "state"
