"""The base model, its tokenizer and its adapter, as the plan says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from loratui.core.errors import ModelError, PlanError
from loratui.core.plan import Plan
from loratui.format import first_line
from loratui.worker import base_model
from loratui.worker.base_model import DTYPES, planned_quantization
from loratui.worker.load_tokenizer import load_tokenizer, model_source, template_text

__all__ = ["count_parameters", "first_line", "load_adapter", "load_base", "load_tokenizer", "model_source", "stop_ids", "template_text"]


def load_base(plan: Plan, *, device: str, local_rank: int = 0, sharded: bool = False) -> Any:
    """The base model in the plan's number format, quantised where the plan says so. ModelError in one sentence.

    sharded: the weights will be divided among processes. Unquantised ones stay in the host's memory until then, read by
    rank 0 alone (transformers looks for these two variables, and for a process group).
    """
    source, extra = model_source(plan)
    quantization = planned_quantization(plan, sharded=sharded)
    if sharded and quantization is None:
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}
    elif device == "cuda":
        extra["device_map"] = {"": local_rank}
    elif quantization is not None:
        extra["device_map"] = {"": "cpu"}
    model = base_model.load_base(
        source, dtype=DTYPES[plan.model.dtype], attention=plan.model.attention, quantization=quantization,
        trust_remote_code=plan.model.trust_remote_code, where=plan.model.id, **extra,
    )
    model.config.use_cache = False
    if quantization is not None and device == "cpu":
        _keep_packing(model)
    return model


def _keep_packing(model: Any) -> None:
    """bitsandbytes 0.50 packs 4-bit weights anew at the first evaluation on a CPU with AVX-512: training cannot go on with those."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def load_adapter(plan: Plan, model: Any) -> Any:
    """The model with an existing adapter that is trained further."""
    from peft import PeftModel

    folder = Path(plan.lora.adapter).expanduser()
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError("this folder holds no adapter (adapter_config.json).", where=str(folder), hint="Set lora.adapter to an adapter's folder, or leave it empty.") from None
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError("the adapter's weights are missing (adapter_model.safetensors).", where=str(folder), hint="Only safetensors are read; nothing is unpickled.")
    for key, found, wanted in (
        ("lora.r", config.get("r"), plan.lora.r), ("lora.alpha", config.get("lora_alpha"), plan.lora.alpha),
        ("lora.variant", _variant(config), plan.lora.variant),
    ):
        if found != wanted:
            raise PlanError(f"{key} = {wanted}, but the adapter in lora.adapter has {found}.", where=str(folder), hint=f"Set {key} to {found}.")
    try:
        return PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"the adapter does not fit this model: {first_line(error)}", where=str(folder)) from error


def _variant(config: dict[str, Any]) -> str:
    return "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora"


def stop_ids(model: Any) -> set[int]:
    """Tokens that end generation by the model's own settings."""
    ids = model.generation_config.eos_token_id if getattr(model, "generation_config", None) is not None else None
    return set() if ids is None else {ids} if isinstance(ids, int) else set(ids)


def count_parameters(model: Any) -> tuple[int, int]:
    """All parameters and the trained ones; a 4-bit parameter counts as the weights that it holds."""
    total = trained = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        count = int(torch.Size(state.shape).numel()) if state is not None else parameter.numel()
        total += count
        trained += count if parameter.requires_grad else 0
    return total, trained
