"""A model whose weights are not on this machine: nothing is fetched before a person was asked."""

from __future__ import annotations

from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.format import count, size
from loratui.models.find import find_model
from loratui.workers.target import Target

BYTES = 2
"""Of a weight as nearly every model is published: bfloat16."""


def absent_words(target: Target) -> str:
    """What would have to be fetched, as far as it is known here; empty where the weights are on this machine."""
    base = target.load.base
    if Path(base).is_dir():
        return ""
    try:
        found = find_model(base, revision=target.load.revision, online=False)
    except LoratuiError:
        return f"The weights of {base} are not on this machine; they would be fetched first."
    if found.weights:
        return ""
    many = found.spec.total_parameters
    much = f"{count(many)} parameters, about {size(BYTES * many)} in bfloat16"
    return f"The weights of {base} are not on this machine; they would be fetched first ({much})."
