"""The real model with its real adapter and the trainer's loss, from a config and a plan, on fake tensors."""

from __future__ import annotations

from typing import Any

import torch

from loratui.core.architecture import ModelSpec
from loratui.core.lora_targets import peft_targets
from loratui.core.plan import Plan
from loratui.worker.base_model import DTYPES
from loratui.worker.tracing.quantised import quantise


def load_config(config: dict[str, Any]) -> Any:
    """A transformers config from a parsed config.json."""
    from transformers import CONFIG_MAPPING

    values = dict(config)
    kind = CONFIG_MAPPING[values.pop("model_type")]
    return kind.from_dict(values)


def attention_of(config: Any, asked: str) -> str:
    """The attention that the class can run: "eager" where it has no fused one (Gemma 2, gpt-oss)."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return "eager" if asked == "sdpa" and not getattr(kind, "_supports_sdpa", False) else asked


def build_model(config: dict[str, Any], plan: Plan, spec: ModelSpec) -> Any:
    """Model, adapter, checkpointing and fused head, as the training worker and SFTTrainer make them. Call under
    fakes."""
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    loaded = load_config(config)
    model = AutoModelForCausalLM.from_config(
        loaded, dtype=DTYPES[plan.model.dtype], attn_implementation=attention_of(loaded, plan.model.attention)
    )
    model.tie_weights()
    model.config.use_cache = False
    if plan.method.quantization != "none":
        quantise(model, plan)
    if plan.method.kind != "full":
        model = add_adapter(model, plan, spec)
    if plan.training.checkpointing:
        model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False, "preserve_rng_state": False}
        )
        if plan.method.kind != "full":
            model.enable_input_require_grads()
    base = model.get_base_model() if plan.method.kind != "full" else model
    add_fused_lm_head(base, outputs=("log_probs", "entropy", "is_top1"))
    return model


def add_adapter(model: Any, plan: Plan, spec: ModelSpec) -> Any:
    """PEFT's adapter as SFTTrainer makes it: float32 on a 16-bit base, bfloat16 on a quantised one; and float32
    again under float16, as `training.trainer` holds it."""
    from peft import LoraConfig, get_peft_model

    lora = plan.lora
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model = get_peft_model(
        model,
        LoraConfig(
            r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=peft_targets(spec, lora.targets) if spec.known else lora.targets,  # type: ignore[arg-type]
            use_rslora=lora.variant == "rslora", use_dora=lora.variant == "dora", task_type="CAUSAL_LM",
        ),
    )
    if plan.method.quantization != "none" and plan.training.precision != "fp16":
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "lora_magnitude_vector" not in name:
                parameter.data = parameter.data.to(torch.bfloat16)
    return model
