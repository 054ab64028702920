"""Where the data that ships with loratui lies: in the installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

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
