"""What loading the weights needs beyond the weights themselves."""

from __future__ import annotations

from loratui.core.architecture import ModelSpec
from loratui.core.memory.formats import Formats


def load_extra(spec: ModelSpec, form: Formats) -> int:
    """Largest tensor that is on its way: a layer about to be quantised lies there in 16 bits (and its parts in float32)."""
    largest = max(
        [linear.in_features * linear.out_features * (max(1, spec.experts) if linear.stored == "expert" else 1) for linear in spec.linears]
        + [spec.embedding_parameters]
    )
    if not form.quantised:
        return largest * form.weight
    quantised = max((linear.in_features * linear.out_features for linear in spec.linears if linear.stored != "expert"), default=0)
    return max(largest * form.weight, quantised * 2 * form.weight)
