"""torch's own attention over rows of unlike length (`torch.nn.attention.varlen`), as an attention of transformers.

Rows that lie end to end are told apart by where each begins, so that no mask is made, and no package is needed beside
torch. TRL 1.16's collator says where they begin, once for a batch and on the processor, by the names that transformers
gives flash attention's arguments (`FlashAttentionKwargs`). The kernel is flash attention 2 as torch ships it
(`aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp`): compute capability 8.0, 16-bit formats, heads of at
most 256 and a multiple of 8, queries in groups that share a key. It has no dropout, no cap of scores and no sinks.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import torch
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface
from transformers.integrations.flash_attention import get_target_dtype
from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask
from transformers.modeling_flash_attention_utils import _pad_input, _unpad_input, _upad_input

from loratui.core.attention import TORCH_VARLEN

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before torch 2.10
    varlen_attn = None  # type: ignore[assignment]

_TAKES = frozenset(inspect.signature(varlen_attn).parameters) if varlen_attn is not None else frozenset[str]()
_GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in _TAKES else {}
"""torch 2.11 shares keys among queries without being asked; 2.13 wants to be."""
_KNOWN: Any = WeakTensorKeyDictionary()
"""Where rows begin, by the positions that say so and their version."""


class Segments(NamedTuple):
    """Where rows begin among the tokens that lie end to end: int32 of shape (rows + 1), and the longest row."""

    starts: torch.Tensor
    longest: int


def is_there() -> bool:
    """Whether this torch has the attention with a scale and windows, as from 2.11 on (2.10 has neither)."""
    return {"scale", "window_size"} <= _TAKES


def register() -> None:
    """Make it known to transformers under its name, with the mask of flash attention: None where no row is padded."""
    AttentionInterface.register(TORCH_VARLEN, varlen_attention)
    AttentionMaskInterface.register(TORCH_VARLEN, flash_attention_mask)


def varlen_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    cu_seq_lens_k: torch.Tensor | None = None,
    max_length_q: int | None = None,
    max_length_k: int | None = None,
    position_ids: torch.Tensor | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as `AttentionInterface` wants it: query of shape (batch, heads, tokens, width), key and value likewise
    with their own heads and tokens; the result is (batch, tokens, heads, width).

    attention_mask: (batch, tokens), where rows are padded; None where they are not. NotImplementedError, in one
    sentence, for what the kernel does not compute.
    """
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    _require(dropout, causal, query.shape[-1], value.shape[-1], more)
    format_ = get_target_dtype(query, module) or query.dtype
    q, k, v = (one.transpose(1, 2).to(format_) for one in (query, key, value))
    batch, length = q.shape[:2]
    if attention_mask is not None:
        q, k, v, places, starts, longest = _upad_input(q, k, v, attention_mask, length, _unpad_input)
        own, others = (Segments(*one) for one in zip(starts, longest, strict=True))
        out = _attend(q, k, v, own, others, scaling, sliding_window)
        return _pad_input(out, places, batch, length), None
    if cu_seq_lens_q is not None and cu_seq_lens_k is not None and max_length_q is not None:
        own = Segments(cu_seq_lens_q, int(max_length_q))
        others = Segments(cu_seq_lens_k, int(max_length_q if max_length_k is None else max_length_k))
    elif batch == 1 and position_ids is not None and length > 1 and length == k.shape[1]:
        own = others = known_segments(position_ids)
    else:
        own, others = whole(batch, length, q.device), whole(batch, k.shape[1], q.device)
    q, k, v = (one.reshape(-1, *one.shape[2:]) for one in (q, k, v))
    return _attend(q, k, v, own, others, scaling, sliding_window).view(batch, length, *q.shape[1:]), None


def known_segments(position_ids: torch.Tensor) -> Segments:
    """`segments_of`, found by the first layer of a pass and remembered for the others, which are given the same
    tensor.
    """
    if torch.compiler.is_compiling():
        return segments_of(position_ids)
    version, known = _KNOWN.get(position_ids, (None, None))
    found: Segments = segments_of(position_ids) if version != position_ids._version else known
    _KNOWN[position_ids] = position_ids._version, found
    return found


def segments_of(position_ids: torch.Tensor) -> Segments:
    """Where rows begin, from positions of shape (1, tokens) that start anew with each. It waits for the device, so it
    is only for batches whose collator did not say.
    """
    places = position_ids.reshape(-1)
    begins = (torch.diff(places, prepend=places[:1] - 2) != 1).nonzero().flatten()
    starts = torch.cat([begins, begins.new_tensor([len(places)])]).to(torch.int32)
    return Segments(starts, int(starts.diff().max()))


def whole(batch: int, length: int, device: torch.device) -> Segments:
    """Rows that are all of one length."""
    return Segments(torch.arange(0, (batch + 1) * length, length, dtype=torch.int32, device=device), length)


def _attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    own: Segments,
    others: Segments,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Causal attention within each row; q, k and v are (tokens, heads, width). window: tokens that a token sees, itself
    included.
    """
    left = window - 1 if window is not None and others.longest > window else -1
    out: torch.Tensor = varlen_attn(
        q, k, v, own.starts, others.starts, own.longest, others.longest,
        scale=scaling, window_size=(left, 0), **_GROUPED,
    )  # type: ignore[assignment]  # fmt: skip
    return out


def _require(dropout: float, causal: bool, width: int, value_width: int, more: dict[str, Any]) -> None:
    """What a model asks of it that the kernel does not compute would otherwise be left out in silence."""
    asked = {
        "dropout within attention": dropout > 0,
        "attention in both directions": not causal,
        "values of another width than the keys": width != value_width,
        "a cap on attention scores": more.get("softcap") is not None,
        "sinks in attention": more.get("s_aux") is not None,
        "biases of positions": more.get("position_bias") is not None,
    }
    for what, is_asked in asked.items():
        if is_asked:
            raise NotImplementedError(f"torch's attention over rows of unlike length does not compute {what}")
