"""The base model, its tokenizer and its adapter, as the plan says."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from loratui.core.errors import ModelError, PlanError
from loratui.core.plan import Plan
from loratui.format import first_line
from loratui.models.adapter import read_adapter, require_fit
from loratui.paths import without_tilde
from loratui.runs.result import require_undamaged
from loratui.worker import base_model
from loratui.worker.base_model import DTYPES, planned_quantization
from loratui.worker.tokenizer import code_options, load_tokenizer, model_source, template_text
from loratui.worker.training.config import target_modules
from loratui.worker.training.divided_base import Share, keeping, require_kept

__all__ = [
    "count_parameters",
    "first_line",
    "load_adapter",
    "load_base",
    "load_tokenizer",
    "model_source",
    "stop_ids",
    "template_text",
]


def load_base(plan: Plan, *, device: str, local_rank: int = 0, share: Share | None = None) -> Any:
    """The base model in the plan's number format, quantised where the plan says so. ModelError in one sentence.

    share: the weights will be divided among processes, and this one's part is that. Until then they are in the host's
    memory: unquantised ones read by rank 0 alone (transformers looks for these two variables, and for a process group),
    of packed ones in each process its share.
    """
    source, extra = model_source(plan)
    quantization = planned_quantization(plan, sharded=share is not None)
    if share is not None and quantization is None:
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}
    elif device != "cpu" and share is None:
        extra["device_map"] = {"": local_rank if device == "cuda" else device}
    elif quantization is not None:
        extra["device_map"] = {"": "cpu"}
    card = torch.device("cuda", local_rank) if device == "cuda" else torch.device("cpu")
    with keeping(share, card) if share is not None and quantization is not None else nullcontext():
        model = base_model.load_base(
            source,
            dtype=DTYPES[plan.model.dtype],
            attention=plan.model.attention,
            quantization=quantization,
            code=code_options(plan, source),
            where=plan.model.id,
            **extra,
        )
    model.config.use_cache = False
    if share is not None and quantization is not None:
        require_kept(model, plan.model.id)
    if quantization is not None and device == "cpu":
        _keep_packing(model)
    return model


def _keep_packing(model: Any) -> None:
    """bitsandbytes 0.50 packs 4-bit weights anew at the first evaluation on a CPU with AVX-512: training cannot go on
    with those.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def load_adapter(plan: Plan, model: Any) -> Any:
    """The model with an existing adapter that is trained further."""
    from peft import PeftModel

    folder = without_tilde(plan.lora.adapter)
    require_undamaged(folder)
    adapter = read_adapter(plan.lora.adapter)
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            "the adapter's weights are missing (adapter_model.safetensors).",
            where=str(folder),
            hint="Only safetensors are read; nothing is unpickled.",
        )
    require_fit(plan, adapter)
    wanted_layers, found_layers = (
        adapted_layers(model, names) for names in (target_modules(plan, model.config.to_dict()), adapter.targets)
    )
    if wanted_layers != found_layers:
        names = adapter.targets if isinstance(adapter.targets, str) else ",".join(sorted(adapter.targets))
        raise PlanError(
            "lora.targets = "
            f"{plan.lora.targets if isinstance(plan.lora.targets, str) else ','.join(plan.lora.targets)} reaches "
            f"{len(wanted_layers)} layers, "
            f"but the adapter in lora.adapter has {len(found_layers)}: {names}.",
            where=str(folder),
            hint=f"Set lora.targets to {names}.",
        )
    try:
        return PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"the adapter does not fit this model: {first_line(error)}", where=str(folder)) from error


def adapted_layers(model: Any, targets: str | Sequence[str]) -> set[str]:
    """The layers of a model that PEFT would adapt for these `target_modules` (its own rule: a pattern over the path, or
    its end).
    """
    if targets == "all-linear":
        head = model.get_output_embeddings()
        return {
            name
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
        }
    if isinstance(targets, str):
        return {name for name, _ in model.named_modules() if re.fullmatch(targets, name)}
    return {
        name for name, _ in model.named_modules() if any(name == one or name.endswith(f".{one}") for one in targets)
    }


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
