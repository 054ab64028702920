"""A 4-bit base that is divided among processes: each keeps only its share of the packed weights while it loads.

transformers 5.23 and accelerate 1.15 let every process load such a base whole onto its card before FSDP2 divides it.
Here a weight is read (memory-mapped, so that a computer reads its files once), packed on the card, and of the packed
bytes only those stay, in the host's memory, that FSDP2 will give to this process. Nothing is sent, for the packing
comes out the same everywhere. That the division took what was kept is checked by sums afterwards.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from transformers.integrations.bitsandbytes import Bnb4bitQuantize
from transformers.quantizers.quantizer_bnb_4bit import Bnb4BitHfQuantizer

from loratui.core.division import share_count
from loratui.core.errors import ModelError, WorkerError
from loratui.core.plan import Plan

SUM = "_sum_of_share"
"""Attribute of a packed layer: the sum of the bytes that this process keeps of its weight."""


@dataclass(frozen=True)
class Share:
    """Which part of each weight a process keeps: number `index` of `count`, as `fully_shard` divides the first
    dimension. whole: everything is kept in the host's memory, for who reads the weights before they are divided.
    """

    index: int
    count: int
    whole: bool = False


def share_of(plan: Plan, rank: int) -> Share:
    """What a process keeps of divided weights; DoRA reads the whole base to measure its weights."""
    shares = share_count(plan)  # of a node where copies lie across nodes: ranks count up within a node
    return Share(rank % shares, shares, whole=plan.lora.variant == "dora")


@contextmanager
def keeping(share: Share, card: torch.device) -> Iterator[None]:
    """While this holds, a base that is loaded in 4 bit to the host is packed on the card, and keeps this share."""

    class Keep(Bnb4bitQuantize):
        def convert(self, input_dict: dict[str, Any], *arguments: Any, **options: Any) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for name, value in input_dict.items():
                read = value[0] if isinstance(value, list) else value
                packed: dict[str, Any] = super().convert({name: read.to(card)}, *arguments, **options)
                found |= {place: kept(weight, share) for place, weight in packed.items()}
            return found

    before = Bnb4BitHfQuantizer.get_quantize_ops
    Bnb4BitHfQuantizer.get_quantize_ops = lambda quantizer: Keep(quantizer)  # type: ignore
    try:
        yield
    finally:
        Bnb4BitHfQuantizer.get_quantize_ops = before  # type: ignore[method-assign]


def kept(weight: Params4bit, share: Share) -> Params4bit:
    """The packed weight in the host's memory, with its scales where they are."""
    packed = weight.data.as_subclass(torch.Tensor)
    part = _part(packed, share)
    host = packed.cpu() if share.whole else _untouched(packed)
    if not share.whole:
        _part(host, share).copy_(part)
    module: Any = weight.module
    setattr(module, SUM, _sum(part))
    return Params4bit(
        host,
        requires_grad=False,
        quant_state=weight.quant_state,
        blocksize=weight.blocksize,
        compress_statistics=weight.compress_statistics,
        quant_type=weight.quant_type,
        quant_storage=weight.quant_storage,
        module=module,
        bnb_quantized=True,
    )


def require_kept(model: Any, where: str) -> None:
    """Each packed layer was packed here. ModelError for a base that is stored packed: FSDP2 cannot divide its bytes."""
    if any(isinstance(module, Linear4bit) and not hasattr(module, SUM) for module in model.modules()):
        raise ModelError(
            "the base is stored in 4 bit already, and in that form it cannot be divided among processes "
            "(hardware.parallelism = fsdp).",
            where=where,
            hint="Take the base that it was made of, or set hardware.parallelism to ddp.",
        )


def require_own_shares(model: Any) -> None:
    """Each process holds of every packed weight just what it kept while loading. WorkerError where it does not."""
    for name, module in model.named_modules():
        wanted = getattr(module, SUM, None)
        if wanted is None:
            continue
        local = getattr(module.weight, "_local_tensor", None)
        if local is None or _sum(local) != wanted:
            raise WorkerError(
                f"the weights of {name} were not divided among the processes as they were loaded.",
                hint="Set hardware.parallelism to ddp, and report this with the versions of torch and accelerate.",
            )


def _untouched(like: torch.Tensor) -> torch.Tensor:
    """Zeros of pages that nobody has written to: they take memory only where somebody does. What the C library hands
    out for a tensor of some MiB has often been used before.
    """
    pages = mmap.mmap(-1, like.numel() * like.element_size(), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=like.dtype).view(like.shape)


def _part(tensor: torch.Tensor, share: Share) -> torch.Tensor:
    """As FSDP2 divides (torch 2.13 `_chunk_with_empty`): equal pieces, the last ones shorter or empty."""
    pieces = tensor.chunk(share.count)
    return pieces[share.index] if share.index < len(pieces) else tensor[:0]


def _sum(tensor: torch.Tensor) -> int:
    plain = tensor.detach().as_subclass(torch.Tensor).contiguous()
    return int(plain.view(torch.uint8).sum(dtype=torch.int64)) if plain.numel() else 0
