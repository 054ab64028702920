"""What one of several GPUs holds: a whole copy and the buckets that even out gradients (DDP), or a share of everything
(FSDP2).
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.division import shares
from loratui.core.hardware import Device
from loratui.core.memory.formats import Formats
from loratui.core.memory.states import linear_bytes
from loratui.core.plan import Plan

GATHERED_BLOCKS = 3
"""Blocks that lie whole on a GPU at one time: the one at work, the next one as it arrives in one piece, and as it is
laid out (torch 2.13 `FSDPParamGroup`); `benchmarks/sharding.py` finds 3 to 4 among processes on a CPU."""
GRADIENT_BLOCKS = 3
"""Blocks of whole gradients, where blocks are trained: those just made, and those on their way to the other GPUs, which
are summed in float32, twice as wide."""
GATHERED_HEADS = 2
"""The output head while it is gathered: as it arrives, and as it is laid out."""


@dataclass(frozen=True, slots=True)
class Together:
    """How many GPUs train one model, and whether each holds only a share of its weights."""

    count: int
    shares: int
    """GPUs among which the weights are divided: all, or those of a node (hybrid); 1 where each holds them whole."""

    @property
    def divided(self) -> bool:
        """Whether each holds only a share."""
        return self.shares > 1

    def share(self, size_bytes: int) -> int:
        """This GPU's part of something that is divided where anything is."""
        return -(-size_bytes // self.shares)


def together(plan: Plan, device: Device) -> Together:
    """What the plan makes of a device's GPUs."""
    count = max(1, device.count)
    return Together(count, shares(plan.hardware.parallelism, count, device.nodes))


def held_formats(form: Formats, shared: Together) -> Formats:
    """Formats of what lies divided: accelerate 1.15 holds what is trained in float32 under autocast, unless
    bitsandbytes packed the base.
    """
    return form._replace(weight=4) if shared.divided and form.full and form.autocast else form


def working_formats(form: Formats, shared: Together) -> Formats:
    """Formats of the forward pass: FSDP2 gathers weights and adapters in the compute format, so that autocast copies
    none.
    """
    if not shared.divided or not form.autocast:
        return form
    return form._replace(
        weight=form.weight if form.quantised else form.compute,
        adapter=form.compute,
        casts_weights=False,
        casts_adapter=False,
    )


def gathered_bytes(spec: ModelSpec, form: Formats, shared: Together) -> int:
    """Whole weights that lie on a GPU beside its share: the blocks at work, the head, and for a trained block its
    gradients.

    form: the working formats.
    """
    if not shared.divided:
        return 0
    block = sum(linear_bytes(linear, form) for linear in spec.linears) // max(1, spec.layers)
    head = (spec.head_parameters or spec.embedding_parameters) * form.weight
    gradients = GRADIENT_BLOCKS * block if form.full else 0
    return GATHERED_BLOCKS * block + GATHERED_HEADS * head + gradients


def bucket_bytes(gradients: int, shared: Together) -> int:
    """DDP's buckets, in which gradients are summed over the GPUs: as large as the gradients (accelerate keeps both)."""
    return gradients if shared.count > 1 and not shared.divided else 0
