"""What a step does on a CUDA device and not on a CPU, so that fake CPU tensors show the memory of a GPU.

Torch built without CUDA cannot run autograd on fake CUDA tensors (there is no device guard), and a tracer must run
anywhere; so the tensors say "cpu" and the differences are put in by hand:

- autocast's list of operations that run in float32 is longer on CUDA (`aten/src/ATen/autocast_mode.h`);
- attention is one fused kernel: it keeps q, k, v, its output and the log-sum-exp, and needs float32 room in its
  backward;
- dropout is one fused kernel that keeps a mask of one byte an element;
- TRL's loss runs in Triton kernels on tiles, on the tokens that bear loss alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from loratui.worker.varlen_attention import is_there

FLOAT32_NAMES = (
    "layer_norm",
    "native_layer_norm",
    "group_norm",
    "rms_norm",
    "pow",
    "__pow__",
    "__rpow__",
    "rsqrt",
    "reciprocal",
    "exp",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "softplus",
    "prod",
    "cumsum",
    "cumprod",
    "norm",
    "cosine_similarity",
    "nll_loss",
    "cross_entropy",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "tan",
    "sinh",
    "cosh",
    "acos",
    "asin",
    "logsumexp",
)
"""Python names of what autocast runs in float32 on CUDA; inputs are cast first."""
FLOAT32_RESULT_NAMES = ("softmax", "log_softmax", "sum")
"""Python names of what autocast on CUDA gives a float32 result, where the caller names no format."""


def _functions(names: tuple[str, ...]) -> set[Any]:
    places = (torch, torch.Tensor, functional)
    return {getattr(place, name) for place in places for name in names if hasattr(place, name)}


_FLOAT32 = _functions(FLOAT32_NAMES)
_FLOAT32_RESULT = _functions(FLOAT32_RESULT_NAMES)
_LOW = (torch.bfloat16, torch.float16)
ROW_ROOM = 128
"""Tokens more for each row that torch's attention over rows of unlike length leaves between them in its backward pass
(`flash_api.cpp`, mha_varlen_bwd)."""


def _widen(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype in _LOW else value


class CudaSemantics(TorchFunctionMode):
    """Autocast's float32 list, fused attention and fused dropout, as on CUDA."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return attention(*args, **kwargs)
        if func is functional.dropout:
            return _dropout(*args, **kwargs)
        if torch.is_autocast_enabled("cpu"):
            if func in _FLOAT32:
                with torch.autocast("cpu", enabled=False):
                    return func(
                        *(_widen(item) for item in args), **{name: _widen(item) for name, item in kwargs.items()}
                    )
            if (
                func in _FLOAT32_RESULT
                and kwargs.get("dtype") is None
                and args
                and isinstance(args[0], torch.Tensor)
                and args[0].dtype in _LOW
            ):
                return func(*args, **{**kwargs, "dtype": torch.float32})
        return func(*args, **kwargs)


def _dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    if not training or p == 0.0:
        return input
    return torch.native_dropout(input, p, True)[0]


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Stands in for torch's fused attention: the same result shape, the same saved tensors, no scores.

    Autocast casts q, k and v first; a boolean mask becomes an additive one in their format, made anew for each call
    (`convert_boolean_attn_mask`), and is kept for the backward pass.
    """
    if torch.is_autocast_enabled("cpu"):
        low = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(low), key.to(low), value.to(low)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype)
    elif attn_mask is not None and attn_mask.dtype != query.dtype:
        attn_mask = attn_mask.to(query.dtype)
    # an operation with autograd's own formula, which keeps q, k, v, the mask, the output and the log-sum-exp
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return fused(query, key, value, dropout_p, is_causal, attn_mask=attn_mask)[0]  # type: ignore[no-any-return]


def attention_kernels() -> dict[Any, Any]:
    """Stand-ins for the fused kernel and its backward."""
    aten = torch.ops.aten

    def forward(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        query, value = args[0], args[2]
        batch, heads, length, _ = query.shape
        # laid out as the kernel does: tokens before heads, so that the caller's transpose is contiguous
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        return out, query.new_empty(batch, heads, length, dtype=torch.float32)

    def backward(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        query, key, value, sums = args[1], args[2], args[3], args[5]
        # the kernel sums dQ in float32 and, where heads share keys, makes dK and dV per query head first
        room = query.new_empty(query.shape, dtype=torch.float32)
        delta = torch.empty_like(sums)
        gradients = tuple(torch.empty_like(item) for item in (query, key, value))
        if key.shape[1] != query.shape[1]:
            wide = [item.new_empty(item.shape[0], query.shape[1], *item.shape[2:]) for item in (key, value)]
            del wide
        del room, delta
        return gradients

    def by_rows(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        query, key, value, sums = args[1], args[2], args[3], args[5]
        more = ROW_ROOM * (args[6].shape[0] - 1)
        room = query.new_empty(query.shape[0] + more, *query.shape[1:], dtype=torch.float32)
        delta = sums.new_empty(sums.shape[0], sums.shape[1] + more)
        gradients = tuple(torch.empty_like(item) for item in (query, key, value))
        if key.shape[1] != query.shape[1]:
            wide = [item.new_empty(item.shape[0], query.shape[1], item.shape[2]) for item in (key, value)]
            del wide
        del room, delta
        return gradients

    def grouped(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        first, second = args[0], args[1]
        ends: Any = kwargs["offs"] if "offs" in kwargs else args[2]
        groups = [] if first.dim() == 2 and second.dim() == 3 else [ends.shape[0]]
        return first.new_empty(*groups, first.shape[-2], second.shape[-1])

    own = {torch.ops.torch_attn._varlen_attn_backward.default: by_rows} if is_there() else {}
    return own | {
        aten._grouped_mm.default: grouped,
        aten._scaled_dot_product_flash_attention_for_cpu.default: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward.default: backward,
    }


class _Kernel:
    """A Triton kernel that runs nowhere: it only writes into tensors that exist."""

    def __getitem__(self, grid: Any) -> Any:
        return lambda *args, **kwargs: None


def _addmm_float32(acc: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """`torch.addmm(..., out_dtype=float32, out=acc)` needs nothing beside its operands, in any format of theirs."""


@contextmanager
def cuda_paths() -> Iterator[None]:
    """While active, TRL's fused head and PEFT's quantised layers take the path that they take on CUDA."""
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    enabled = torch.is_autocast_enabled
    patches: list[tuple[Any, str, Any]] = [
        # without an argument it asks for CUDA, as PEFT's quantised layers do
        (torch, "is_autocast_enabled", lambda device="cpu": enabled(device)),
        (chunked_logprob, "_use_triton", lambda device: True),
        (utils, "_use_triton", lambda device: True),
        (chunked_logprob, "_forward_kernel", _Kernel()),
        (chunked_logprob, "_backward_kernel", _Kernel()),
        (chunked_logprob, "_addmm_fp32", _addmm_float32),
        (chunked_logprob, "triton", SimpleNamespace(cdiv=lambda a, b: -(-a // b))),
    ]
    missing = object()
    kept = [(place, name, getattr(place, name, missing)) for place, name, _ in patches]
    for place, name, stand_in in patches:
        setattr(place, name, stand_in)
    try:
        yield
    finally:
        for place, name, original in kept:
            if original is missing:
                delattr(place, name)
            else:
                setattr(place, name, original)


class _Scored(torch.autograd.Function):
    """`trl/kernels/logprob_entropy.py`: keeps the logits as they are, and makes their gradient in one piece."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        found, entropy, log_z, expected = (logits.new_empty(index.shape, dtype=torch.float32) for _ in range(4))
        del entropy
        ctx.save_for_backward(logits, index, log_z, expected)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        logits = ctx.saved_tensors[0]
        return torch.empty_like(logits, memory_format=torch.contiguous_format), None


def scored_by_kernel(logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Stands in for TRL's `selective_log_softmax` where it runs its kernel."""
    found: torch.Tensor = _Scored.apply(logits, index)  # type: ignore[no-untyped-call]
    return found


def data_dependent(scored_tokens: int) -> dict[Any, Any]:
    """Stand-ins for operations whose result's shape depends on data: choosing the tokens that bear loss."""
    aten = torch.ops.aten

    def index(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        source, indices = args
        chosen = indices[0]
        if len(indices) != 1 or chosen is None or chosen.dtype != torch.bool:
            return NotImplemented
        return source.new_empty(scored_tokens, *source.shape[chosen.dim() :])

    def index_put(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target, indices = args[0], args[1]
        if len(indices) != 1 or indices[0] is None or indices[0].dtype != torch.bool:
            return NotImplemented
        return target

    def masked_select(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args[0].new_empty(scored_tokens)

    return {
        aten.index.Tensor: index,
        aten.index_put.default: index_put,
        aten._index_put_impl_.default: index_put,
        aten.index_put_.default: index_put,
        aten._unsafe_index_put.default: index_put,
        aten.masked_select.default: masked_select,
    }
