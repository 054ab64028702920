"""Presets on disk: those that ship with loratui, and the person's own beside their settings.

A file that does not validate is reported in a sentence and left out; the others still load. A person's own preset
with the name of a shipped one stands in for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.core.errors import LoratuiError, PlanError
from loratui.core.presets import AUTO, Preset, preset_from_toml, preset_to_toml
from loratui.files import read_document
from loratui.paths import presets_path, user_presets_path, without_tilde

if TYPE_CHECKING:
    from loratui.core.imports import Imported

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def preset_folders() -> list[Path]:
    """The folders that are searched, shipped presets first."""
    return [presets_path(), user_presets_path()]


def load_presets(folders: Iterable[Path] | None = None) -> tuple[list[Preset], list[str]]:
    """All presets, `auto` first, and a sentence for each file that cannot be used.

    folders: where to look, later ones standing in for earlier ones by name; a folder that does not exist is skipped.
    """
    found: dict[str, Preset] = {AUTO.name: AUTO}
    problems: list[str] = []
    for folder in preset_folders() if folders is None else folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
            try:
                preset = preset_from_toml(read_document(path), str(path))
            except LoratuiError as error:
                problems.append(error.sentence)
            except OSError as error:
                problems.append(f"{path}: this preset cannot be read: {error.strerror or error}.")
            else:
                found[preset.name] = preset
    return list(found.values()), problems


def read_configuration(path: Path) -> Imported:
    """Another tool's YAML (Axolotl, LLaMA-Factory, TRL) as plan values; PlanError where it cannot be read as one."""
    import yaml

    from loratui.core.imports import import_configuration

    try:
        document = yaml.safe_load(read_document(without_tilde(path)))
    except OSError as error:
        raise PlanError(f"this configuration cannot be read: {error.strerror or error}.", where=str(path)) from None
    except RecursionError:
        raise PlanError("its values are nested too deeply.", where=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise PlanError("this is not YAML.", where=place, hint="Mend the line and try again.") from None
    return import_configuration(document, str(path))


def find_preset(name: str, folders: Iterable[Path] | None = None) -> Preset:
    """The preset of this name, or of this file (`my.toml`, or another tool's `config.yaml`).

    Raises PlanError naming those that exist, or why the file is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return read_configuration(Path(name)).preset(Path(name).stem)
    if name.endswith(".toml"):
        try:
            return preset_from_toml(read_document(without_tilde(name)), name)
        except OSError as error:
            raise PlanError(f"this preset cannot be read: {error.strerror or error}.", where=name) from None
    if name == AUTO.name and folders is None:
        folders = [user_presets_path()]  # no shipped file has this name: none need be read
    presets, problems = load_presets(folders)
    for preset in presets:
        if preset.name == name:
            return preset
    for problem in problems:
        if f"{name}.toml" in problem:
            raise PlanError(problem, where="--preset")
    raise PlanError(
        f"there is no preset {name}.",
        where="--preset",
        hint=f"Presets are: {', '.join(preset.name for preset in presets)}.",
    )


def save_preset(preset: Preset, folder: Path | None = None) -> Path:
    """Writes a person's own preset and returns its file. PlanError where the name cannot be a file's, or is `auto`."""
    if not _NAME.fullmatch(preset.name) or preset.name == AUTO.name:
        raise PlanError(
            f"{preset.name!r} cannot be a preset's name.",
            where="name",
            hint="Use small letters, digits, dots and dashes, and not auto.",
        )
    text = preset_to_toml(preset)
    preset_from_toml(text, preset.name)
    target = (folder or user_presets_path()) / f"{preset.name}.toml"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        raise PlanError(f"the preset cannot be written: {error}.", where=str(target)) from None
    return target
