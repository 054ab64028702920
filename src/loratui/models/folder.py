"""What a model's folder holds: its config, whether its weights are whole, its chat template and licence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from loratui.core.errors import ModelError
from loratui.files import read_document
from loratui.format import first_line

INDEX = "model.safetensors.index.json"
TOKENIZER_LIMIT_BYTES = 256 << 20
"""A tokenizer.json may have a million words; nothing in a model's folder that is JSON is larger."""


class Contents(NamedTuple):
    """A model's folder, read. note: what is missing for training, in words; "" where nothing is."""

    path: Path
    config: dict[str, Any]
    weights: bool
    size_bytes: int
    has_chat_template: bool
    licence: str
    note: str


def read_folder(path: Path, *, where: str = "") -> Contents:
    """Read a folder; ModelError where it is no model, saying what is missing."""
    where = where or str(path)
    try:
        names = {item.name for item in path.iterdir()}
    except OSError as error:
        raise ModelError(f"the folder cannot be read: {error.strerror or error}.", where=where) from error
    if "config.json" not in names:
        raise _no_model(names, where)
    config = read_json(path / "config.json")
    weights, size_bytes, note = _weights(path, names)
    if weights and not names & {"tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json"}:
        note = "it has no tokenizer, so it cannot be trained on text"
    return Contents(path, config, weights, size_bytes, has_chat_template(path, names), _licence(path, names), note)


def _no_model(names: set[str], where: str) -> ModelError:
    if "adapter_config.json" in names:
        return ModelError(
            "this folder is an adapter, not a model: it has adapter_config.json and no config.json.",
            where=where,
            hint="Give the base model here, and the adapter as lora.adapter.",
        )
    if any(name.endswith(".gguf") for name in names):
        return ModelError(
            "this folder holds GGUF files, which can be run but not trained.",
            where=where,
            hint="Give the original model (config.json, *.safetensors).",
        )
    if "params.json" in names or "consolidated.00.pth" in names:
        return ModelError(
            "this folder holds original checkpoints, not a model of the transformers library: config.json is missing.",
            where=where,
            hint="Fetch the version for transformers.",
        )
    if "snapshots" in names:
        return ModelError(
            "this is a folder of the hub's cache; the model lies below snapshots/.",
            where=where,
            hint="Give the hub id instead.",
        )
    held = f"it holds {', '.join(sorted(names)[:5])}{' …' if len(names) > 5 else ''}" if names else "it is empty"
    return ModelError(
        f"this folder is no model: config.json is missing, {held}.",
        where=where,
        hint="Give a folder with config.json and *.safetensors.",
    )


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file; ModelError with the line where it is none."""
    try:
        value = json.loads(read_document(path, limit_bytes=TOKENIZER_LIMIT_BYTES))
    except json.JSONDecodeError as error:
        raise ModelError(
            f"this is no valid JSON: {error.msg}, column {error.colno}.",
            where=f"{path}, line {error.lineno}",
            hint="Fetch the file again.",
        ) from error
    except OSError as error:
        raise ModelError(f"the file cannot be read: {error.strerror or error}.", where=str(path)) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists in lists
        raise ModelError(f"the file cannot be read: {first_line(error)}.", where=str(path)) from error
    if not isinstance(value, dict):
        raise ModelError("this holds no object.", where=str(path), hint="Fetch the file again.")
    return value


def weight_names(path: Path, names: set[str]) -> list[str]:
    """Names of a model's weight files, sorted: those of its index, which may be missing, else those that are there.
    names: what the folder holds. ModelError where the index cannot be read.
    """
    if INDEX in names:
        index = read_json(path / INDEX).get("weight_map")
        return sorted({str(name) for name in index.values()}) if isinstance(index, dict) else []
    return sorted(name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_"))


def _weights(path: Path, names: set[str]) -> tuple[bool, int, str]:
    """Whether the weights are whole, their bytes, and what is missing in words."""
    files = weight_names(path, names)
    if INDEX in names:
        wanted = files
        missing = [name for name in wanted if not (path / name).is_file()]
        size_bytes = sum((path / name).stat().st_size for name in wanted if name not in missing)
        if missing:
            return False, size_bytes, f"{len(missing)} of {len(wanted)} weight files are missing"
        return True, size_bytes, ""
    whole = [name for name in files if (path / name).is_file() and (path / name).stat().st_size > 8]
    if whole:
        return True, sum((path / name).stat().st_size for name in whole), ""
    if any(re.fullmatch(r"pytorch_model.*\.bin", name) for name in names):
        return False, 0, "its weights are pickled (.bin), which loratui does not open; convert them to safetensors"
    return False, 0, "config only: enough for planning, not for training"


def has_chat_template(path: Path, names: set[str]) -> bool:
    """Whether the folder brings a chat template, in a file of its own or in the tokenizer's settings."""
    if "chat_template.jinja" in names or "chat_template.json" in names or "additional_chat_templates" in names:
        return True
    if "tokenizer_config.json" not in names:
        return False
    try:
        return bool(read_json(path / "tokenizer_config.json").get("chat_template"))
    except ModelError:
        return False


def _licence(path: Path, names: set[str]) -> str:
    if "README.md" not in names:
        return ""
    try:
        with (path / "README.md").open(encoding="utf-8", errors="replace") as file:
            head = file.read(20_000)
    except OSError:
        return ""
    card = re.match(r"\A\ufeff?---\s*\n(.*?)\n---", head, re.S)
    match = re.search(r"^license:\s*[\"']?([\w.+-]+)", card.group(1), re.M) if card else None
    return match.group(1) if match else ""
