"""torch's attention over rows of unlike length on a processor, which has no kernel of it: a reference in plain products
under torch's own operators, so that everything above them is torch's (its function, its custom operator, its autograd).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Calls:
    """What the kernel was asked for."""

    rows: list[list[int]] = field(default_factory=list)
    """Of each forward call where rows begin."""
    windows: list[int] = field(default_factory=list)
    backward: int = 0


def _scores(q: torch.Tensor, k: torch.Tensor, scale: float, left: int, right: int) -> torch.Tensor:
    """Shares of attention (heads, queries, keys); the last query sees the last key."""
    queries, keys = len(q), len(k)
    at = torch.arange(queries)[:, None] + keys - queries
    other = torch.arange(keys)[None]
    seen = torch.ones(queries, keys, dtype=torch.bool)
    if right >= 0:
        seen &= other <= at + right
    if left >= 0:
        seen &= other >= at - left
    scores = torch.einsum("qhd,khd->hqk", q, k) * scale
    return scores.masked_fill(~seen, float("-inf"))


def _each(starts: torch.Tensor, others: torch.Tensor) -> Iterator[tuple[slice, slice]]:
    own, keys = starts.tolist(), others.tolist()
    for begin, end, first, last in zip(own[:-1], own[1:], keys[:-1], keys[1:], strict=True):
        yield slice(begin, end), slice(first, last)


@contextmanager
def on_a_processor(*, factor: float = 1.0, mixes: bool = False) -> Iterator[Calls]:
    """While active, the kernel's operators run on the CPU. factor: its results are multiplied by it. mixes: it takes
    all rows for one.
    """
    calls = Calls()
    library = torch.library.Library("aten", "IMPL")

    def told(starts: torch.Tensor) -> torch.Tensor:
        assert starts.dtype == torch.int32 and starts.is_contiguous()
        return starts[[0, -1]] if mixes else starts

    def forward(q: Any, k: Any, v: Any, own: Any, others: Any, most: int, most_keys: int, dropout: float,
                is_causal: bool, debug: bool = False, *, scale: float | None = None, window_size_left: int = -1,
                window_size_right: int = -1, **more: Any) -> tuple[torch.Tensor, ...]:  # fmt: skip
        assert q.dtype == k.dtype == v.dtype and q.dim() == 3 and q.shape[1] % k.shape[1] == 0
        assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1 and dropout == 0
        assert most == int(own.diff().max()) and most_keys == int(others.diff().max())
        calls.rows.append(own.tolist())
        calls.windows.append(window_size_left)
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        out, sums = torch.empty_like(q), q.new_empty(q.shape[1], q.shape[0], dtype=torch.float32)
        right = 0 if is_causal else window_size_right
        for rows, keys in _each(told(own), told(others)):
            scores = _scores(q[rows], k[keys], scale or q.shape[-1] ** -0.5, window_size_left, right)
            out[rows] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[keys]) * factor
            sums[:, rows] = scores.logsumexp(-1)
        return out, sums, torch.zeros(2, dtype=torch.uint64), torch.empty(0), torch.empty(0)

    def backward(gradient: Any, q: Any, k: Any, v: Any, out: Any, sums: Any, own: Any, others: Any, most: int,
                 most_keys: int, dropout: float, is_causal: bool, chance: Any, unused: Any, *,
                 scale: float | None = None, window_size_left: int = -1,
                 window_size_right: int = -1) -> tuple[torch.Tensor, ...]:  # fmt: skip
        calls.backward += 1
        group, scale = q.shape[1] // k.shape[1], scale or q.shape[-1] ** -0.5
        wide_k, wide_v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(wide_k), torch.zeros_like(wide_v)
        right = 0 if is_causal else window_size_right
        for rows, keys in _each(told(own), told(others)):
            scores = _scores(q[rows], wide_k[keys], scale, window_size_left, right)
            shares = (scores - sums[:, rows, None]).exp()
            given = gradient[rows] * factor
            dv[keys] += torch.einsum("hqk,qhd->khd", shares, given)
            inner = torch.einsum("qhd,khd->hqk", given, wide_v[keys])
            along = (gradient[rows] * out[rows]).sum(-1).T[..., None]
            slopes = shares * (inner - along) * scale
            dq[rows] += torch.einsum("hqk,khd->qhd", slopes, wide_k[keys])
            dk[keys] += torch.einsum("hqk,qhd->khd", slopes, q[rows])
        narrow = [one.view(len(k), k.shape[1], group, -1).sum(2) for one in (dk, dv)]
        return dq, *narrow

    library.impl("_flash_attention_forward", forward, "CPU")
    library.impl("_flash_attention_backward", backward, "CPU")
    try:
        yield calls
    finally:
        library._destroy()
