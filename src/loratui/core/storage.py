"""How many bytes a run leaves on disk: its checkpoints and its result.

Held by a test against the files of a real run (`tests/core/test_storage.py`).
"""

from __future__ import annotations

from typing import NamedTuple

from loratui.core.architecture import ModelSpec
from loratui.core.memory.formats import formats
from loratui.core.memory.states import adapter_bytes, adapter_tensors, optimizer_bytes
from loratui.core.plan import Plan
from loratui.format import size

TOKENIZER_BYTES_PER_ENTRY = 80
"""tokenizer.json per vocabulary entry, its merges included (Qwen3: 11.4 MB for 151,669)."""
SMALL_FILES_BYTES = 32 * 1024
"""A checkpoint's configurations, random states, trainer's state and headers."""

HEADER_BYTES_PER_TENSOR = 128
"""What a safetensors file says of each tensor: its name, format, shape and place (PEFT's long names)."""


class DiskNeed(NamedTuple):
    """Bytes of a run's directory at its fullest."""

    checkpoint_bytes: int
    """One checkpoint: weights, optimizer states, tokenizer."""
    checkpoints: int
    """How many there are at once; one more than are kept, while the newest is being written."""
    result_bytes: int
    """The weights' file that the run leaves, adapter or model, in the format in which they were trained: the one figure
    that is told of a result's size."""
    beside_bytes: int = 0
    """The tokenizer that lies beside that file."""

    @property
    def total_bytes(self) -> int:
        """All of it at once."""
        return self.checkpoint_bytes * self.checkpoints + self.result_bytes + self.beside_bytes


def disk_need(spec: ModelSpec, plan: Plan) -> DiskNeed:
    """What a run writes. transformers 5.23 rotates checkpoints after the new one is whole."""
    form = formats(plan)
    weights = spec.total_parameters * form.weight if form.full else adapter_bytes(spec, plan, form)
    tensors = 0 if form.full else sum(count for _, count, _ in adapter_tensors(spec, plan, form))
    header = tensors * HEADER_BYTES_PER_TENSOR
    tokenizer = spec.vocab_size * TOKENIZER_BYTES_PER_ENTRY
    return DiskNeed(
        checkpoint_bytes=weights + optimizer_bytes(spec, plan, form) + tokenizer + SMALL_FILES_BYTES,
        checkpoints=plan.saving.keep + 1 if plan.saving.every_steps else 1,
        result_bytes=weights + header,
        beside_bytes=tokenizer,
    )


def disk_warning(spec: ModelSpec, plan: Plan, free_bytes: int) -> str:
    """Why the run does not fit on the disk, and what would; empty where it fits. A tenth of the need is kept spare."""
    need = disk_need(spec, plan)
    if need.total_bytes * 1.1 <= free_bytes:
        return ""
    each = (
        f"{need.checkpoints} saves of {size(need.checkpoint_bytes)}"
        if need.checkpoints > 1
        else (f"a save of {size(need.checkpoint_bytes)}")
    )
    fewer = "Keep fewer (saving.keep), save" if plan.saving.every_steps and plan.saving.keep > 1 else "Save"
    return (
        f"The run needs up to {size(need.total_bytes)} of disk ({each} and the result), and "
        f"{size(free_bytes)} are free. "
        f"{fewer} only at the end (saving.every_steps = 0), or set LORATUI_HOME to a larger disk."
    )
