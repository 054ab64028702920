"""What loading the weights needs beyond the weights themselves."""

from __future__ import annotations

from loratui.core.architecture import ModelSpec
from loratui.core.memory.formats import Formats
from loratui.core.memory.states import is_quantised


def load_extra(spec: ModelSpec, form: Formats) -> int:
    """Bytes beyond the weights: transformers reads each tensor straight to its place, but one that bitsandbytes is about
    to quantise lies on the device in 16 bits first.
    """
    if not form.quantised:
        return 0
    return max((layer.in_features * layer.out_features for layer in spec.linears if is_quantised(layer, form)), default=0) * 2
