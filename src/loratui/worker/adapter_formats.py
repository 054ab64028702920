"""Number formats of an adapter in training: what training and tracing both hold it in."""

from __future__ import annotations

from typing import Any

import torch


def hold_wide(model: Any) -> None:
    """Hold what is trained in float32, whatever the base's format.

    TRL 1.16 turns the adapter of a quantised model into bfloat16: most updates of a small rate round away there, and
    float16's loss scaling cannot unscale its gradients.
    """
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()


def spare_casts(model: Any) -> None:
    """Under autocast, let the adapters read a layer's input as it is.

    PEFT 0.21 widens it to the adapter's float32, and autocast narrows it again for the product: the same numbers, but
    a copy in each layer that lives until the backward pass. Where the input is changed before the product (dropout) or
    read otherwise (DoRA) the numbers would differ, and the casts stay.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if not isinstance(module, BaseTunerLayer) or getattr(module, "lora_variant", None):
            continue
        if all(isinstance(dropout, torch.nn.Identity) for dropout in getattr(module, "lora_dropout", {}).values()):
            setattr(module, "cast_input_dtype_enabled", False)  # noqa: B010 - PEFT sets it on instances alone
