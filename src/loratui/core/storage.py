"""How many bytes a run leaves on disk: its checkpoints and its result.

Held by a test against the files of a real run (`tests/core/test_storage.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.memory.formats import formats
from loratui.core.memory.states import adapter_bytes, optimizer_bytes
from loratui.core.plan import Plan

TOKENIZER_BYTES_PER_ENTRY = 80
"""tokenizer.json per vocabulary entry, its merges included (Qwen3: 11.4 MB for 151,669)."""
SMALL_FILES_BYTES = 32 * 1024
"""A checkpoint's configurations, random states, trainer's state and headers."""


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Bytes of a run's directory at its fullest."""

    checkpoint_bytes: int
    """One checkpoint: weights, optimizer states, tokenizer."""
    checkpoints: int
    """How many there are at once; one more than are kept, while the newest is being written."""
    result_bytes: int
    """The adapter or model that the run leaves."""

    @property
    def total_bytes(self) -> int:
        """All of it at once."""
        return self.checkpoint_bytes * self.checkpoints + self.result_bytes


def disk_need(spec: ModelSpec, plan: Plan) -> DiskNeed:
    """What a run writes. transformers 5.23 rotates checkpoints after the new one is whole."""
    form = formats(plan)
    weights = spec.total_parameters * form.weight if form.full else adapter_bytes(spec, plan, form)
    tokenizer = spec.vocab_size * TOKENIZER_BYTES_PER_ENTRY
    return DiskNeed(
        checkpoint_bytes=weights + optimizer_bytes(spec, plan, form) + tokenizer + SMALL_FILES_BYTES,
        checkpoints=plan.saving.keep + 1 if plan.saving.every_steps else 1,
        result_bytes=weights + tokenizer,
    )
