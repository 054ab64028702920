"""The real model with its real adapter and the trainer's loss, from a config and a plan, on fake tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from loratui.core.architecture import ModelSpec
from loratui.core.attention import TORCH_VARLEN
from loratui.core.lora_targets import peft_targets
from loratui.core.plan import Plan
from loratui.worker.adapter_formats import hold_wide, spare_casts
from loratui.worker.base_model import DTYPES
from loratui.worker.tracing.quantised import quantise
from loratui.worker.varlen_attention import register


def load_config(config: dict[str, Any]) -> Any:
    """A transformers config from a parsed config.json."""
    from transformers import CONFIG_MAPPING

    values = dict(config)
    kind = CONFIG_MAPPING[values.pop("model_type")]
    return kind.from_dict(values)


def attention_of(config: Any, asked: str) -> str:
    """The attention that the class can run: "eager" where it has no fused one (Gemma 2, gpt-oss)."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if asked == TORCH_VARLEN:
        register()
    kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return "eager" if asked == "sdpa" and not getattr(kind, "_supports_sdpa", False) else asked


def build_model(config: dict[str, Any], plan: Plan, spec: ModelSpec, *, own_casts: bool = False) -> Any:
    """Model, adapter, checkpointing and fused head, as the training worker and SFTTrainer make them. Call under
    fakes."""
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    loaded = load_config(config)
    model = AutoModelForCausalLM.from_config(
        loaded,
        trust_remote_code=False,
        dtype=DTYPES[plan.model.dtype],
        attn_implementation=attention_of(loaded, plan.model.attention),
    )
    model.tie_weights()
    model.config.use_cache = False
    if plan.method.quantization != "none":
        quantise(model, plan)
    if plan.method.kind != "full":
        model = add_adapter(model, plan, spec, own_casts=own_casts)
    if plan.training.checkpointing:
        model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False, "preserve_rng_state": False}
        )
        if plan.method.kind != "full":
            model.enable_input_require_grads()
    base = model.get_base_model() if plan.method.kind != "full" else model
    more = () if plan.training.objective == "sft" else ("mean_logits",)
    add_fused_lm_head(base, outputs=("log_probs", "entropy", "is_top1", *more))
    return model


def add_adapter(model: Any, plan: Plan, spec: ModelSpec, *, own_casts: bool = False) -> Any:
    """PEFT's adapter as the training worker holds it: in float32, reading a layer's input as it is under autocast.

    own_casts: as PEFT alone has it, which widens that input.
    """
    from peft import LoraConfig, get_peft_model

    lora = plan.lora
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model = get_peft_model(
        model,
        LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,  # type: ignore[arg-type]
            lora_dropout=lora.dropout,
            target_modules=peft_targets(spec, lora.targets) if spec.known else lora.targets,
            use_rslora=lora.variant == "rslora",
            use_dora=lora.variant == "dora",
            task_type="CAUSAL_LM",
        ),
    )
    hold_wide(model)
    if plan.training.precision != "fp32" and not own_casts:
        spare_casts(model)
    return model


def _apply(self: nn.Module, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
    """`nn.Module._apply` without swapping tensors in place, which fake tensors refuse: parameters are made anew."""
    if recurse:
        for child in self.children():
            child._apply(fn)
    for name, parameter in list(self._parameters.items()):
        if parameter is not None:
            with torch.no_grad():
                moved = fn(parameter)
            if moved is not parameter:
                self._parameters[name] = nn.Parameter(moved, requires_grad=parameter.requires_grad)
    for name, buffer in list(self._buffers.items()):
        if buffer is not None:
            self._buffers[name] = fn(buffer)
    return self


@contextmanager
def fake_modules() -> Iterator[None]:
    """While active, `Module.to` and its kin work on fake parameters, and weights are not initialised."""
    from transformers import initialization

    kept: Any = nn.Module._apply
    nn.Module._apply = _apply  # type: ignore[method-assign]
    try:
        with initialization.no_init_weights():
            yield
    finally:
        nn.Module._apply = kept  # type: ignore[method-assign]
