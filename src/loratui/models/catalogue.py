"""Well-known models whose shapes ship with loratui, so that a training can be planned before anything is fetched."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from loratui.models.found import FoundModel
from loratui.models.shapes import spec_of

CATALOGUE = Path(__file__).with_name("catalogue.json")


@cache
def _rows() -> dict[str, dict[str, Any]]:
    document = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    return {row["id"].lower(): row for row in document["models"]}


@cache
def _entry(name: str) -> FoundModel:
    row = _rows()[name]
    notes = ["not on this machine: it is fetched before training"]
    if row["gated"]:
        notes.append(f"gated: accept its licence at https://huggingface.co/{row['id']}")
    if not row["read"]:
        notes.append("shape from memory, checked when it is fetched")
    return FoundModel(
        row["id"],
        "catalogue",
        None,
        row["config"],
        spec_of(row["config"], row["id"]),
        False,
        0,
        chat_model(row["id"]),
        row["licence"] or "",
        row["gated"],
        "; ".join(notes),
    )


def find_entry(id: str) -> FoundModel | None:
    """The catalogue's entry of this hub id, whatever the case of its letters; None where there is none."""
    return _entry(id.lower()) if id.lower() in _rows() else None


def entries() -> list[FoundModel]:
    """Every entry, in the catalogue's order."""
    return [_entry(name) for name in _rows()]


def chat_model(id: str) -> bool:
    """Whether a name says that the model was tuned to chat, and so brings a chat template."""
    name = id.lower()
    if name.endswith(("-base", "-pt")):
        return False
    return any(
        word in name
        for word in ("instruct", "chat", "-it", "distill", "thinking", "gpt-oss", "qwen3", "phi-4", "smollm3", "glm-4")
    )
