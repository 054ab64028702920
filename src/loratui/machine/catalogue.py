"""The GPUs one may plan for without having them: memory, bandwidth, peaks, compute capability."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from loratui.core.dataclass import dataclass
from loratui.core.errors import MachineError
from loratui.core.hardware import Device
from loratui.core.near import near

DATA = Path(__file__).with_name("gpus.json")
MIB = 2**20
Status = Literal["read", "derived", "recalled"]
"""How well bandwidth and peaks are known, best first; `statuses()` explains each."""


class UnknownGpu(MachineError):
    """A name that no GPU of the catalogue has."""

    code = "gpu"
    exit_status = 2


@dataclass(frozen=True, kw_only=True)
class CatalogueGpu:
    """A GPU as its maker and its driver describe it. None: the card has no such hardware."""

    name: str
    aliases: tuple[str, ...] = ()
    nvml_names: tuple[str, ...] = ()
    """How the driver calls it; the end of its name."""
    marketed_gb: int
    """Memory as it is sold."""
    memory_mib: int
    """Total as nvidia-smi prints it."""
    usable_mib: int
    """What CUDA offers a process on an idle card."""
    bandwidth_gb_per_second: float
    """10^9 bytes a second."""
    bf16_tflops: float | None
    """Dense peaks with float32 accumulation, 10^12 operations a second."""
    fp16_tflops: float
    fp8_tflops: float | None
    fp32_tflops: float
    compute_capability: tuple[int, int]
    status: Status
    source: str
    """Where the figures were read, or that they are from memory."""
    exact: bool = True
    """False for a nameless card of a size."""

    @property
    def memory_total_bytes(self) -> int:
        """Total as the driver reports it."""
        return self.memory_mib * MIB

    @property
    def memory_usable_bytes(self) -> int:
        """What CUDA offers a process on an idle card."""
        return self.usable_mib * MIB

    def peak_flops(self, precision: str = "best") -> float:
        """Dense peak, operations a second, in `bf16`, `fp16`, `fp8`, `fp32`, or the one to train in (`best`).

        bf16 on a card without it is emulated through float32 and counts as that.
        """
        rates = {"bf16": self.bf16_tflops, "fp16": self.fp16_tflops, "fp8": self.fp8_tflops, "fp32": self.fp32_tflops}
        best = self.bf16_tflops or max(self.fp16_tflops, self.fp32_tflops)
        return (best if precision == "best" else rates[precision] or self.fp32_tflops) * 1e12

    @property
    def fp32_training_flops(self) -> float:
        """Dense peak of float32 training, operations a second: TF32 (half of bf16's rate) where the card has it."""
        return max(self.fp32_tflops, (self.bf16_tflops or 0.0) / 2) * 1e12

    def device(self, count: int = 1, *, memory_bytes: int | None = None) -> Device:
        """`count` idle cards of this kind. `memory_bytes`: plan with so much free memory instead of the card's own."""
        usable = self.memory_usable_bytes if memory_bytes is None else memory_bytes
        return Device(
            name=self.name,
            kind="gpu",
            simulated=True,
            count=count,
            memory_total_bytes=max(usable, self.memory_total_bytes) if memory_bytes is None else usable,
            memory_free_bytes=usable,
            compute_capability=self.compute_capability,
            memory_bandwidth_bytes_per_second=self.bandwidth_gb_per_second * 1e9,
            peak_flops=self.peak_flops(),
            fp32_peak_flops=self.fp32_training_flops,
            assumed=self.source if self.source.startswith(LEAST) else "",
        )


LEAST = "the least of "
"""Begins the source of what is assumed of a nameless card."""


@cache
def statuses() -> dict[Status, str]:
    """What each status means, best first."""
    said = json.loads(DATA.read_text(encoding="utf-8"))["statuses"]
    return {status: said[status] for status in get_args(Status)}


@cache
def all_gpus() -> tuple[CatalogueGpu, ...]:
    """Every GPU of the catalogue, older generations first."""
    rows = json.loads(DATA.read_text(encoding="utf-8"))["gpus"]
    for row in rows:
        row["compute_capability"] = tuple(int(part) for part in row["compute_capability"].split("."))
        row |= {name: tuple(row[name]) for name in ("aliases", "nvml_names") if name in row}
    return tuple(CatalogueGpu(**row) for row in rows)


def find_gpu(name: str) -> CatalogueGpu:
    """The GPU with this name ("A10G", "rtx4090", "NVIDIA H100 80GB HBM3"), or a nameless one of a size ("24GB").

    Raises UnknownGpu with the nearest names.
    """
    key = _key(name)
    names = _names()
    if key in names:
        return names[key]
    reported = match_reported(name)
    if reported is not None:
        return reported
    size = re.fullmatch(r"(\d+)g(?:i?b)?", key)
    if size:
        return _of_size(int(size[1]))
    meant = [names[match].name for match in near(key, names, 4)]
    meant += [gpu.name for gpu in all_gpus() if key and key in _key(gpu.name)]
    offered = list(dict.fromkeys(meant))[:5]
    hint = f"Near it: {', '.join(offered)}." if offered else f"Known are: {', '.join(gpu.name for gpu in all_gpus())}."
    raise UnknownGpu(f"there is no GPU {name!r} in the catalogue.", hint=hint)


def match_reported(name: str) -> CatalogueGpu | None:
    """The catalogue's entry for a name as the driver reports it, e.g. "NVIDIA GeForce RTX 4090"; None when unknown."""
    wanted = _key(name)
    for gpu in all_gpus():
        if any(_key(reported) == wanted for reported in gpu.nvml_names):
            return gpu
    return None


@cache
def _names() -> dict[str, CatalogueGpu]:
    names: dict[str, CatalogueGpu] = {}
    for gpu in all_gpus():
        for name in (gpu.name, *gpu.aliases):
            names.setdefault(_key(name), gpu)
    return names


def _of_size(gigabytes: int) -> CatalogueGpu:
    """The least that a card of a size offers: lowest memory and speed among those with bf16, else among all."""
    same = [gpu for gpu in all_gpus() if gpu.marketed_gb == gigabytes]
    if not same:
        sizes = sorted({gpu.marketed_gb for gpu in all_gpus()})
        raise UnknownGpu(
            f"no GPU of the catalogue has {gigabytes} GB.",
            hint=f"Sizes are {', '.join(map(str, sizes))} GB; --gpu-memory takes any amount.",
        )
    cards = [gpu for gpu in same if gpu.bf16_tflops] or same
    return CatalogueGpu(
        name=f"{gigabytes} GB GPU",
        marketed_gb=gigabytes,
        exact=False,
        memory_mib=min(gpu.memory_mib for gpu in cards),
        usable_mib=min(gpu.usable_mib for gpu in cards),
        bandwidth_gb_per_second=min(gpu.bandwidth_gb_per_second for gpu in cards),
        bf16_tflops=min((gpu.bf16_tflops for gpu in cards if gpu.bf16_tflops), default=None),
        fp16_tflops=min(gpu.fp16_tflops for gpu in cards),
        fp32_tflops=min(gpu.fp32_tflops for gpu in cards),
        fp8_tflops=None,
        compute_capability=min(gpu.compute_capability for gpu in cards),
        status=max((gpu.status for gpu in cards), key=get_args(Status).index),
        source=f"{LEAST}{', '.join(gpu.name for gpu in cards)}",
    )


def _key(name: str) -> str:
    """Letters and digits of a name, without the maker's and the series' words."""
    plain = re.sub(r"\b(nvidia|geforce|tesla|quadro|generation|gpu)\b", " ", name.lower())
    return re.sub(r"[^a-z0-9]", "", plain)
