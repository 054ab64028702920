"""What is known of a model that was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from loratui.core.architecture import ModelSpec
from loratui.models.folder import Contents
from loratui.models.shapes import spec_of

ModelKind = Literal["demo", "folder", "cache", "catalogue", "hub"]


class FoundModel(NamedTuple):
    """A model that can be planned for, and trained where its weights are here or can be fetched.

    path: the folder that holds it; None where it is not on this machine. weights: whole on this machine. size_bytes: of
    the weight files on this machine; 0 without. gated: None where it is not known. note: what a person should know.
    """

    id: str
    kind: ModelKind
    path: Path | None
    config: dict[str, Any]
    spec: ModelSpec
    weights: bool
    size_bytes: int = 0
    has_chat_template: bool = False
    licence: str = ""
    gated: bool | None = None
    note: str = ""


def found_in_folder(id: str, kind: ModelKind, contents: Contents, note: str = "") -> FoundModel:
    """A model from what a folder holds."""
    notes = [text for text in (note, contents.note) if text]
    return FoundModel(
        id,
        kind,
        contents.path,
        contents.config,
        spec_of(contents.config, id),
        contents.weights,
        contents.size_bytes,
        contents.has_chat_template,
        contents.licence,
        None,
        "; ".join(notes),
    )
