"""What a training would run on: the GPUs that were chosen, a simulated one, or the CPU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

from loratui.core.accelerators import torch_build
from loratui.core.attention import TORCH_VARLEN
from loratui.core.errors import MachineError
from loratui.core.hardware import Device, Gpu, Host, Machine
from loratui.core.processor_formats import instructions
from loratui.core.varlen import SINCE
from loratui.machine.processor_formats import torch_version

GIB = 2**30
KERNEL_PACKAGES = {"flash_attention_3": "flash_attn_interface", "flash_attention_2": "flash_attn"}
"""Packages of attention kernels, as transformers 5.23 looks for them."""

UNITS = {
    "": 1,
    "b": 1,
    "k": 2**10,
    "kb": 10**3,
    "kib": 2**10,
    "m": 2**20,
    "mb": 10**6,
    "mib": 2**20,
    "g": 2**30,
    "gb": 10**9,
    "gib": 2**30,
    "t": 2**40,
    "tb": 10**12,
    "tib": 2**40,
}
_SIZE = re.compile(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*([A-Za-z]*)\s*")


class DeviceError(MachineError):
    """A GPU was chosen that cannot be trained on."""

    code = "device"
    exit_status = 2


class SizeError(MachineError):
    """A size that cannot be read."""

    code = "size"
    exit_status = 2


def device_for(
    machine: Machine,
    devices: Sequence[int] = (),
    gpu: str = "",
    gpu_memory_bytes: int | None = None,
    *,
    cpu: bool = False,
) -> Device:
    """What one training process runs on.

    devices: numbers of GPUs of this machine; none: the first free one, else the CPU. gpu: a name of the catalogue to
    plan for instead. gpu_memory_bytes: plan for so much free memory. cpu: the CPU, whatever else there is. DeviceError,
    or UnknownGpu, in one sentence.
    """
    if gpu:
        return planned_device(gpu, devices, gpu_memory_bytes)
    if gpu_memory_bytes is not None:
        return _sized(machine, gpu_memory_bytes, max(1, len(devices)))
    if cpu:
        return cpu_device(machine.host)
    if devices:
        return _together([_checked(machine, number) for number in devices])
    chosen = choose_gpu(machine)
    return cpu_device(machine.host) if chosen is None else _together([chosen])


def planned_device(gpu: str, devices: Sequence[int] = (), memory_bytes: int | None = None) -> Device:
    """As many cards of the catalogue as `devices` names, at least one, whatever this machine has. memory_bytes: free on
    each instead of what the catalogue says. UnknownGpu in one sentence."""
    from loratui.machine.catalogue import find_gpu

    return find_gpu(gpu).device(max(1, len(devices)), memory_bytes=memory_bytes)


def parse_memory_size(text: str) -> int:
    """Bytes of a size such as `16GiB` (2^30), `24GB` (10^9), `24G` (as GiB) or `800MiB`; SizeError otherwise."""
    match = _SIZE.fullmatch(text)
    unit = match[2].lower() if match else ""
    if match is None or unit not in UNITS:
        raise SizeError(f"{text!r} is no amount of memory.", hint="Write it like 16GiB, 24GB or 800MiB.")
    size = int(float(match[1].replace(",", ".")) * UNITS[unit])
    if size < 2**20:
        raise SizeError(f"{text!r} is less than a mebibyte.", hint="Give the unit too, like 16GiB or 24GB.")
    return size


def choose_gpu(machine: Machine) -> Gpu | None:
    """The first GPU that nobody uses, else the visible one with the most free memory; None where there is none."""
    usable = [gpu for gpu in machine.gpus if gpu.visible and not gpu.lost]
    idle = [gpu for gpu in usable if is_idle(gpu)]
    if idle:
        # Among idle cards the largest kind; the first of its kind.
        return max(idle, key=lambda gpu: (gpu.memory_total_bytes, -gpu.index))
    return max(usable, key=lambda gpu: gpu.memory_free_bytes, default=None)


def is_idle(gpu: Gpu) -> bool:
    """Whether nobody holds memory of the GPU, beyond what the driver and a desktop take (5 % or 1 GiB)."""
    if gpu.kind == "unified":
        return not gpu.processes
    return gpu.memory_used_bytes <= max(GIB, gpu.memory_total_bytes // 20)


def visible_devices(machine: Machine, devices: Sequence[int]) -> str:
    """CUDA_VISIBLE_DEVICES for a training process on these GPUs: their UUIDs, which mean the same under every
    CUDA_DEVICE_ORDER. No devices: the one that `choose_gpu` picks; empty (no GPU) where there is none."""
    if devices:
        return ",".join(_shown(_checked(machine, number)) for number in devices)
    chosen = choose_gpu(machine)
    return _shown(chosen) if chosen else ""


def _shown(gpu: Gpu) -> str:
    """How a process is shown a card: by its UUID; HIP, which reads CUDA_VISIBLE_DEVICES too, by its number."""
    return gpu.uuid if gpu.vendor == "nvidia" else str(gpu.index)


def _checked(machine: Machine, number: int) -> Gpu:
    found = next((gpu for gpu in machine.gpus if gpu.index == number), None)
    if found is None:
        if not machine.gpus:
            why = machine.problems[0] if machine.problems else "Leave hardware.devices empty to train on the CPU."
            raise DeviceError(f"there is no GPU {number}: this machine has none.", where="hardware.devices", hint=why)
        names = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in machine.gpus)
        raise DeviceError(f"there is no GPU {number}.", where="hardware.devices", hint=f"This machine has {names}.")
    if found.lost:
        raise DeviceError(
            f"GPU {number} ({found.name}) is lost.", where="hardware.devices", hint="Choose another, or reset it."
        )
    if not found.visible:
        raise DeviceError(
            f"GPU {number} ({found.name}) is hidden from training by CUDA_VISIBLE_DEVICES or the batch scheduler.",
            where="hardware.devices",
            hint="Choose another GPU, or change CUDA_VISIBLE_DEVICES.",
        )
    return found


def _together(gpus: Sequence[Gpu]) -> Device:
    """Cards that train together, one process each: the weakest decides."""
    if len({gpu.index for gpu in gpus}) < len(gpus):
        raise DeviceError("a GPU is named twice.", where="hardware.devices", hint="Name each GPU once.")
    if len(gpus) > 1 and any(gpu.kind == "mig" for gpu in gpus):
        raise DeviceError(
            "one training cannot span MIG slices: CUDA shows a process one slice only.",
            where="hardware.devices",
            hint="Choose a single slice.",
        )
    weakest = min(gpus, key=lambda gpu: gpu.memory_free_bytes)
    capabilities = [gpu.compute_capability for gpu in gpus if gpu.compute_capability]
    return Device(
        name=" + ".join(dict.fromkeys(gpu.name for gpu in gpus)),
        kind="gpu",
        count=len(gpus),
        memory_total_bytes=weakest.memory_total_bytes,
        memory_free_bytes=weakest.memory_free_bytes,
        compute_capability=min(capabilities) if len(capabilities) == len(gpus) else None,
        vendor=gpus[0].vendor,
        architecture=min(gpu.architecture for gpu in gpus),
        memory_bandwidth_bytes_per_second=_least([speeds(gpu).bandwidth for gpu in gpus]),
        peak_flops=_least([speeds(gpu).peak for gpu in gpus]),
        fp32_peak_flops=_least([speeds(gpu).fp32_peak for gpu in gpus]),
        attention_kernels=installed_kernels(),
        liger=has_liger(),
    )


@lru_cache(maxsize=1)
def installed_kernels() -> tuple[str, ...]:
    """Values of `model.attention` whose packages are installed, and torch's own over rows of unlike length where this
    torch has it; nothing is imported.
    """
    found = tuple(kernel for kernel, package in KERNEL_PACKAGES.items() if find_spec(package) is not None)
    return (*found, TORCH_VARLEN) if has_varlen(torch_version()) else found


def has_varlen(version: str) -> bool:
    """Whether torch of this version attends over rows of unlike length on NVIDIA's cards; empty: there is no torch."""
    release = re.match(r"(\d+)\.(\d+)", version)
    new = release is not None and (int(release[1]), int(release[2])) >= SINCE
    return new and torch_build(version) in ("", "CUDA")


@lru_cache(maxsize=1)
def has_liger() -> bool:
    """Whether liger-kernel and Triton are installed; nothing is imported."""
    return all(find_spec(package) is not None for package in ("liger_kernel", "triton"))


class Speeds(NamedTuple):
    """Operations a second in the format to train in and in float32, and bytes a second of memory; None where
    unknown.
    """

    peak: float | None
    fp32_peak: float | None
    bandwidth: float | None


def speeds(gpu: Gpu) -> Speeds:
    """What the catalogue and the driver say of a card's speed.

    A MIG slice `3g.40gb` has 3 of its card's 7 compute slices (of 4 on an A30) and memory in proportion to its size.
    """
    from loratui.machine.catalogue import match_reported

    if gpu.kind != "mig":
        entry = match_reported(gpu.name)
        bandwidth = gpu.memory_bandwidth_bytes_per_second or (entry.bandwidth_gb_per_second * 1e9 if entry else None)
        return Speeds(entry.peak_flops() if entry else None, entry.fp32_training_flops if entry else None, bandwidth)
    card = match_reported(gpu.name.partition(" MIG ")[0])
    slices = gpu.mig_profile.partition("g.")[0].rpartition("c.")[2]
    if card is None or not slices.isdigit():
        return Speeds(None, None, None)
    share = int(slices) / (4 if card.name == "A30" else 7)
    memory_share = min(1.0, gpu.memory_total_bytes / card.memory_total_bytes)
    return Speeds(
        card.peak_flops() * share, card.fp32_training_flops * share, card.bandwidth_gb_per_second * 1e9 * memory_share
    )


def _least(values: Sequence[float | None]) -> float | None:
    """The smallest; None where one is unknown."""
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _sized(machine: Machine, memory_bytes: int, count: int) -> Device:
    """A nameless GPU with so much free memory; it takes after this machine's own GPU, else it is Ampere (bf16)."""
    own = choose_gpu(machine)
    capability = own.compute_capability if own and own.compute_capability else (8, 0)
    return Device(
        name=f"GPU with {memory_bytes / GIB:.1f} GiB",
        kind="gpu",
        simulated=True,
        count=count,
        memory_total_bytes=memory_bytes,
        memory_free_bytes=memory_bytes,
        compute_capability=capability,
        assumed=f"that of this machine's {own.name}" if own and own.compute_capability else "Ampere's",
    )


def cpu_device(host: Host) -> Device:
    """The host's processors, with its memory. The peak is counted from cores, clock and vector width; in bfloat16 it is
    as much higher as was measured."""
    peak = cpu_peak_flops(host)
    gain = max((gain for _, gain in host.bf16_gains), default=1.0)
    return Device(
        name=host.cpu_name,
        kind="cpu",
        memory_total_bytes=host.memory_total_bytes,
        memory_free_bytes=host.memory_available_bytes,
        peak_flops=peak and peak * max(1.0, gain),
        fp32_peak_flops=peak,
        bf16_instructions=instructions(host.cpu_features),
        bf16_gains=host.bf16_gains,
    )


def cpu_peak_flops(host: Host) -> float | None:
    """Float32 operations a second at best: logical processors x clock x operations a cycle of half a core.

    Two vector units of 16 (AVX-512), 8 (AVX2) or 4 (NEON) numbers, a multiplication and an addition each: 64, 32 or 16
    a cycle and core. Logical processors are counted as half cores, because two of them share the units.
    """
    if host.cpu_clock_mhz is None:
        return None
    features = host.cpu_features
    per_cycle = 64 if "avx512f" in features else 32 if "avx2" in features else 16 if "asimd" in features else 8
    return host.cpu_count * host.cpu_clock_mhz * 1e6 * per_cycle / 2
