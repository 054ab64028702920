"""How a base model is held and loaded: the one owner of number formats, quantisation settings and the loading.

Training, rehearsal, playground, commands, merging and the API load through `load_base`; tracing builds fake layers
from the same settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from loratui.core.attention import TORCH_VARLEN
from loratui.core.errors import ModelError
from loratui.core.plan import Plan
from loratui.format import first_line
from loratui.runs.result import require_undamaged
from loratui.worker.plain_words import plain_words
from loratui.worker.varlen_attention import register

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
"""A plan's names of number formats, in torch."""


def quantization_config(
    kind: str, *, double: bool, compute_dtype: torch.dtype, storage: torch.dtype = torch.uint8
) -> BitsAndBytesConfig | None:
    """How the frozen base is held: `none`, `int8`, or 4 bit as `nf4` or `fp4`. storage: the format that packed
    weights are kept in."""
    match kind:
        case "none":
            return None
        case "int8":
            return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=6.0, llm_int8_has_fp16_weight=False)
        case _:
            return BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type=kind,
                bnb_4bit_use_double_quant=double,
                bnb_4bit_compute_dtype=compute_dtype,
                bnb_4bit_quant_storage=storage,
            )


def planned_quantization(plan: Plan, *, sharded: bool = False) -> BitsAndBytesConfig | None:
    """What a plan says of it. sharded: FSDP divides only what is stored in a float's format."""
    return quantization_config(
        plan.method.quantization,
        double=plan.method.double_quantization,
        compute_dtype=DTYPES[plan.method.compute_dtype],
        storage=DTYPES[plan.model.dtype] if sharded else torch.uint8,
    )


def load_base(
    source: str,
    *,
    dtype: torch.dtype,
    attention: str,
    quantization: BitsAndBytesConfig | None,
    code: dict[str, Any],
    where: str = "",
    **options: Any,
) -> Any:
    """A causal language model of transformers, from safetensors alone. ModelError in one sentence, about `where`.

    A folder with a manifest is compared with it first.

    attention: "" leaves it to transformers. code: of `models.trust.load_options`. options: revision, device_map and
    others that `from_pretrained` takes.
    """
    if (folder := Path(source)).is_dir():
        require_undamaged(folder)
    if quantization is not None:
        options["quantization_config"] = quantization
    if attention == TORCH_VARLEN:
        register()
    if attention:
        options["attn_implementation"] = attention
    try:
        return AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            **(options | code),
        )
    except (OSError, ValueError, ImportError, KeyError, EOFError, SafetensorError) as error:
        sentence, hint = plain_words(error) or (first_line(error), "")
        raise ModelError(f"the model cannot be loaded: {sentence}", where=where or source, hint=hint) from error
