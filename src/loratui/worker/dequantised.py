"""The base as a training on quantised weights saw it, in weights that are not quantised."""

from __future__ import annotations

from typing import Any

import torch

from loratui.core.errors import WorkerError
from loratui.worker.generation.load import LoadedModels


@torch.no_grad()
def as_in_training(models: LoadedModels, trained: LoadedModels | None) -> int:
    """Give an unquantised base the values that the quantised one computes with; how many layers that are.

    trained: the same base, quantised. WorkerError where a layer of one is not in the other.
    """
    from peft.utils.integrations import dequantize_bnb_weight, get_bnb_param_type

    assert trained is not None
    plain = {_own_name(name): parameter for name, parameter in models.base.named_parameters()}
    count = 0
    for name, parameter in trained.base.named_parameters():
        if not get_bnb_param_type(parameter):
            continue
        own = plain.get(_own_name(name))
        module: Any = trained.base.get_submodule(name.rpartition(".")[0])
        values = dequantize_bnb_weight(parameter, state=getattr(module, "state", None))
        if own is None or own.shape != values.shape:
            raise WorkerError(
                f"{name} of the quantised base has no counterpart in the unquantised one.",
                hint="--onto unquantised merges without it.",
            )
        own.data.copy_(values)
        count += 1
    return count


def _own_name(name: str) -> str:
    return name.replace(".base_layer.", ".")
