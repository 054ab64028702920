"""Where things live: runs, drafts, caches and settings of this machine; and the data that ships with loratui."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

HOME_VARIABLE = "LORATUI_HOME"
CONFIG_VARIABLE = "LORATUI_CONFIG"


def without_tilde(name: str | Path) -> Path:
    """A path with `~` written out; as it is where there is no such person (pathlib raises there)."""
    with contextlib.suppress(RuntimeError):
        return Path(name).expanduser()
    return Path(name)


def is_there(path: str | Path) -> bool:
    """Whether something lies at a path as a person writes it; of what no file system takes for one (a name too long),
    nothing does.
    """
    try:
        return without_tilde(path).exists()
    except (OSError, ValueError):
        return False


def is_folder(path: str | Path) -> bool:
    """The same of a folder."""
    try:
        return without_tilde(path).is_dir()
    except (OSError, ValueError):
        return False


def home() -> Path:
    """`$LORATUI_HOME`, or the platform's user data folder. Not created here."""
    if chosen := os.environ.get(HOME_VARIABLE, ""):
        return without_tilde(chosen).absolute()
    from platformdirs import user_data_path

    return user_data_path("loratui", appauthor=False)


def config_home() -> Path:
    """`$LORATUI_CONFIG`, or the platform's folder of settings: presets and themes of the person's own. Not created
    here."""
    if chosen := os.environ.get(CONFIG_VARIABLE, ""):
        return without_tilde(chosen).absolute()
    from platformdirs import user_config_path

    return user_config_path("loratui", appauthor=False)


def user_presets_path() -> Path:
    """Folder of the person's own presets; it may not exist yet."""
    return config_home() / "presets"


def user_themes_path() -> Path:
    """Folder of the person's own themes; it may not exist yet."""
    return config_home() / "themes"


def user_settings_path() -> Path:
    """The person's settings for this machine; it may not exist."""
    return config_home() / "settings.toml"


def runs_home() -> Path:
    """Folder whose subfolders are the runs."""
    return home() / "runs"


def experiments_home() -> Path:
    """Folder whose subfolders are the experiments."""
    return home() / "experiments"


def state_home() -> Path:
    """Folder of the wizard's drafts and of what is remembered between sessions."""
    return home() / "state"


def home_short(path: object) -> str:
    """A path with the user's home folder written as `~`."""
    text, home = str(path), str(Path.home())
    return "~" + text[len(home) :] if home != "/" and (text == home or text.startswith(home + "/")) else text


def cache_home() -> Path:
    """Folder of what can be made again: `cache` in `$LORATUI_HOME`, or the platform's folder of caches. Not created
    here."""
    if os.environ.get(HOME_VARIABLE, ""):
        return home() / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("loratui", appauthor=False)


def tokens_home() -> Path:
    """Folder of the datasets that were tokenised, one folder each."""
    return cache_home() / "tokens"


PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1]


def _shipped(name: str) -> Path:
    installed = PACKAGE / name
    return installed if installed.is_dir() else CHECKOUT / name


def themes_path() -> Path:
    """Folder of the themes that ship with loratui."""
    return _shipped("themes")


def presets_path() -> Path:
    """Folder of the presets that ship with loratui."""
    return _shipped("presets")


def demo_model_path() -> Path:
    """Folder of the demo model."""
    return PACKAGE / "demo" / "model"


def demo_dataset_path() -> Path:
    """Training rows of the demo."""
    return PACKAGE / "demo" / "train.jsonl"


def demo_heldout_path() -> Path:
    """Held-out rows of the demo."""
    return PACKAGE / "demo" / "heldout.jsonl"


def demo_preferences_path(*, held_out: bool = False) -> Path:
    """Pairs of the demo to learn a preference from, or those held out of them."""
    return PACKAGE / "demo" / ("preferences-heldout.jsonl" if held_out else "preferences.jsonl")
