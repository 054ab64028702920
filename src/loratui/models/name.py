"""One model, however it is written: `./model`, `~/work/model` and a link to it are the same folder."""

from __future__ import annotations

from pathlib import Path

from loratui.paths import demo_model_path, is_folder, without_tilde


def model_folder(source: str) -> Path:
    """The folder that a source names, if it names one: the demo's own, or a path as a person writes it."""
    return demo_model_path() if source == "demo" else without_tilde(source)


def resolved_name(source: str) -> str:
    """A hub id as it is; of a folder, where it really lies."""
    folder = model_folder(source)
    return str(folder.resolve()) if is_folder(folder) else source
