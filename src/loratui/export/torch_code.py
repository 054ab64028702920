"""How a base is held, as Python text for exported scripts and model cards.

What is loaded here is `worker.base_model`'s.
"""

from __future__ import annotations

FORMATS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""A plan's names of number formats, as attributes of torch."""


def quantization_code(kind: str, *, double: bool, compute_dtype: str) -> str:
    """The settings of a quantised base as an expression; `None` for an unquantised one.

    compute_dtype: as a plan names it.
    """
    if kind == "none":
        return "None"
    if kind == "int8":
        return "BitsAndBytesConfig(load_in_8bit=True)"
    return (
        f"BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type={kind!r}, bnb_4bit_use_double_quant={double}, "
        f"bnb_4bit_compute_dtype=torch.{FORMATS[compute_dtype]})"
    )
