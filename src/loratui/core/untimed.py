"""What of a plan takes time that no prediction counts."""

from __future__ import annotations

from loratui.core.plan import Plan
from loratui.core.preferences import computes_reference, has_reference

UNTIMED = ("lora.variant", "lora.dropout", "model.attention")
"""They take time (DoRA's norms of whole weights, dropout's masks, unfused attention) that nothing here counts."""
UNTIMED_WITHIN_A_METHOD = (
    "training.optimizer",
    "method.quantization",
    "method.double_quantization",
    "method.compute_dtype",
)
"""So do these; between two methods they belong to what is counted."""


def differ_untimed(one: Plan, other: Plan) -> bool:
    """Whether two plans differ in something that takes time and that no prediction counts."""
    keys = UNTIMED + (UNTIMED_WITHIN_A_METHOD if one.method.kind == other.method.kind else ())
    within = one.method.kind == other.method.kind and one.training.precision == other.training.precision
    return any(one.get(key) != other.get(key) for key in keys) or (within and one.model.dtype != other.model.dtype)


def left_out(plan: Plan) -> tuple[str, ...]:
    """What of this plan takes time that no prediction counts, in words."""
    once = has_reference(plan) and not computes_reference(plan)
    found = ["the reference's pass before the first step"] if once else []
    if plan.method.kind == "full":
        return tuple(found)
    found += ["the norms that DoRA computes of whole weights"] if plan.lora.variant == "dora" else []
    return (*found, *(["dropout's masks"] if plan.lora.dropout else []))
