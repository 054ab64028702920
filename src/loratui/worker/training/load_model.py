"""The base model, its tokenizer and its adapter, as the plan says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from loratui.core.errors import ModelError, PlanError
from loratui.core.plan import Plan
from loratui.resources import demo_model_path
from loratui.worker.training.config import DTYPES, quantization_config

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
KNOWN_TEMPLATES = {"chatml": CHATML}


def model_source(plan: Plan) -> tuple[str, dict[str, Any]]:
    """Where the model is read from, and how: a folder, or an id of the hub with its revision."""
    name = plan.model.id
    if name == "demo":
        folder = demo_model_path()
        if not (folder / "config.json").is_file():
            raise ModelError("the demo model is not in this installation.", where=str(folder), hint="Build it with scripts/ or install again.")
        return str(folder), {}
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError("this folder holds no model: config.json is missing.", where=str(folder))
        if not any(folder.glob("*.safetensors")):
            raise ModelError("this folder holds no weights to train (*.safetensors).", where=str(folder), hint="Only safetensors are read; nothing is unpickled.")
        return str(folder), {}
    if name.startswith(("/", ".", "~")):
        raise ModelError("there is no such folder.", where=name)
    return name, {"revision": plan.model.revision} if plan.model.revision else {}


def load_tokenizer(plan: Plan) -> Any:
    """The tokenizer with the plan's chat template, and a padding token."""
    source, extra = model_source(plan)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=plan.model.trust_remote_code, **extra)
    except (OSError, ValueError) as error:
        raise ModelError(f"the tokenizer cannot be read: {first_line(error)}", where=plan.model.id) from error
    if plan.model.chat_template:
        tokenizer.chat_template = template_text(plan.model.chat_template)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"
    return tokenizer


def template_text(name: str) -> str:
    """A chat template by its file or its name."""
    if name in KNOWN_TEMPLATES:
        return KNOWN_TEMPLATES[name]
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except OSError:
        raise PlanError(
            f"model.chat_template = {name!r} is neither a file nor a known template.", hint=f"Known are: {', '.join(KNOWN_TEMPLATES)}."
        ) from None


def load_base(plan: Plan, *, device: str, local_rank: int = 0) -> Any:
    """The base model in the plan's number format, quantised where the plan says so. ModelError in one sentence."""
    source, extra = model_source(plan)
    quantization = quantization_config(plan)
    if quantization is not None:
        extra["quantization_config"] = quantization
    if device == "cuda":
        extra["device_map"] = {"": local_rank}
    elif quantization is not None:
        extra["device_map"] = {"": "cpu"}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=DTYPES[plan.model.dtype], attn_implementation=plan.model.attention, use_safetensors=True,
            trust_remote_code=plan.model.trust_remote_code, **extra,
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ModelError(f"the model cannot be loaded: {first_line(error)}", where=plan.model.id) from error
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


def first_line(error: BaseException, limit: int = 300) -> str:
    """The first sentence-like line of an exception's text."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= limit else line[:limit] + "…"
