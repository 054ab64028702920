"""Whether a checkpoint's weights are numbers at all."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open


def is_finite(checkpoint: Path) -> bool:
    """Whether every trained weight of a checkpoint is a finite number; they are read one by one."""
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            if not all(bool(torch.isfinite(tensors.get_tensor(name)).all()) for name in tensors.keys()):  # noqa: SIM118 (no mapping)
                return False
    return True
