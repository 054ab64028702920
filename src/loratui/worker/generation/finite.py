"""Answers come from numbers: where the model computes none, that is said, and which weights are to blame."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from loratui.core.errors import ModelError


class _Finite(LogitsProcessor):
    """Ends a generation whose next token cannot be chosen, instead of choosing any."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if bool(torch.isnan(scores).any()):
            raise no_numbers(self._model)
        return scores


def finite_numbers(model: Any) -> LogitsProcessorList:
    """For `generate`: raises ModelError where the model's output is no number."""
    return LogitsProcessorList([_Finite(model)])


def no_numbers(model: Any) -> ModelError:
    """Why the model's output is no number, as an error for a person."""
    broken = [
        name
        for name, weights in model.named_parameters()
        if weights.is_floating_point() and not bool(torch.isfinite(weights).all())
    ]
    if broken:
        more = f" and in {len(broken) - 1} more" if len(broken) > 1 else ""
        return ModelError(
            f"the weights hold NaN or infinity in {broken[0]}{more}: no answer can be computed.",
            hint="The training diverged or the file is damaged: take an earlier checkpoint.",
        )
    return ModelError(
        "the model computes no number out of finite weights: its values overflow in this number format.",
        hint="Load it in bf16 or fp32.",
    )
