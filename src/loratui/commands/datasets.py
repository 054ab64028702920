"""`-d DATASET` of the commands: one dataset, or several as one, each with a weight and a cap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from loratui.core.errors import InputError
from loratui.paths import without_tilde

MIXED = "Several, or PATH=WEIGHT#CAP, make a mix: -d a.jsonl -d b.jsonl=0.5 -d c.jsonl#1000."
Command = TypeVar("Command", bound=Callable[..., Any])


def datasets_option(means: str, *, required: bool = False) -> Callable[[Command], Command]:
    """The option of a command, which gets `datasets`. means: the help's first sentence, of what they are there."""
    return click.option(
        "-d",
        "--dataset",
        "--data",
        "datasets",
        multiple=True,
        required=required,
        metavar="DATASET",
        help=f"{means} {MIXED}",
    )


def dataset_values(named: Sequence[str]) -> dict[str, Any]:
    """The plan's keys that these words say; none where nothing was named. A file whose name holds `=` or `#` is that
    file.

    InputError where a word is empty, PlanError where its weight or cap is none.
    """
    from loratui.core.parts_text import PARTS, part_from_words

    if not named:
        return {}
    if any(not words.strip() for words in named):
        raise InputError("--dataset is empty.", hint="Name a dataset, or leave it out.")
    parts = [{"path": words} if _is_there(words) else part_from_words(words) for words in named]
    if len(parts) == 1 and parts[0].keys() == {"path"}:
        return {"dataset.path": named[0]}
    return {"dataset.path": "", PARTS: _with_names(parts)}


def _is_there(words: str) -> bool:
    try:
        return without_tilde(words).exists()
    except (OSError, ValueError):
        return False


def _with_names(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts, those whose files are called alike named by their folder, too; else counted."""
    from loratui.core.dataset_part import usual_name

    names = [usual_name(part["path"]) for part in parts]
    found: list[str] = []
    for name, part in zip(names, parts, strict=True):
        folder = Path(part["path"]).parent.name
        told = f"{folder}/{name}" if names.count(name) > 1 and folder else name
        number = 2
        while told in found:
            told, number = f"{name}-{number}", number + 1
        found.append(told)
    return [part | {"name": name} for part, name in zip(parts, found, strict=True)]
