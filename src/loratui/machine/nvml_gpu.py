"""One card or one MIG slice as NVML tells it: what never changes is read once, the rest at every sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loratui.core.hardware import Gpu, GpuProcess
from loratui.format import size
from loratui.machine.nvml_calls import CardLost, Nvml
from loratui.machine.processes import ProcessNames

MIB = 2**20

THROTTLE_REASONS = {
    0x0004: "power cap",
    0x0008: "hardware slowdown",
    0x0010: "sync boost with another GPU",
    0x0020: "too hot (software limit)",
    0x0040: "too hot (hardware limit)",
    0x0080: "power supply asks for less",
    0x0200: "board limit",
    0x0400: "reliability limit",
}
"""nvmlClocksEventReason bits that slow a training; idleness and clocks set on purpose are none (nvml.h)."""


@dataclass
class Card:
    """A handle with what never changes about it. `parent` is the card that a MIG slice is cut from."""

    handle: Any
    number: int
    """Place in the driver's own count; -1 for a slice."""
    uuid: str
    name: str
    compute_capability: tuple[int, int] | None = None
    pci_bus_id: str = ""
    power_limit_watts: float | None = None
    clock_max_mhz: int | None = None
    bandwidth: float | None = None
    virtualization: str = ""
    parent: Card | None = None
    mig_profile: str = ""
    slices: list[Card] = field(default_factory=list)
    mig_mode: bool = False
    lost: bool = False
    memory_total_bytes: int = 0


def read_card(nvml: Nvml, handle: Any, number: int) -> Card:
    """What never changes of a card. Raises CardLost."""
    api = nvml.api
    # The limit that is enforced follows `nvidia-smi -pl`, which needs root and is seldom changed: read once a sample
    # below.
    clock = nvml.ask("nvmlDeviceGetMaxClockInfo", handle, api.NVML_CLOCK_SM)
    pci = nvml.ask_any(("nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo"), handle)
    mode = nvml.ask("nvmlDeviceGetVirtualizationMode", handle)
    return Card(
        handle=handle,
        number=number,
        uuid=nvml.ask("nvmlDeviceGetUUID", handle) or f"GPU-{number}",
        name=nvml.ask("nvmlDeviceGetName", handle) or "NVIDIA GPU",
        compute_capability=nvml.ask("nvmlDeviceGetCudaComputeCapability", handle),
        pci_bus_id=_bus_id(pci),
        clock_max_mhz=clock,
        bandwidth=_bandwidth(nvml, handle),
        virtualization={1: "passthrough", 2: "vgpu", 3: "vgpu"}.get(mode, ""),
        mig_mode=(nvml.ask("nvmlDeviceGetMigMode", handle) or [0, 0])[0] == 1,
    )


def read_slices(nvml: Nvml, card: Card) -> list[Card]:
    """The MIG slices of a card in MIG mode, each with its own handle."""
    found: list[Card] = []
    for place in range(nvml.ask("nvmlDeviceGetMaxMigDeviceCount", card.handle) or 0):
        handle = nvml.ask("nvmlDeviceGetMigDeviceHandleByIndex", card.handle, place)
        if handle is None:  # places need not be filled in order
            continue
        name = nvml.ask("nvmlDeviceGetName", handle) or card.name
        profile = name.rpartition(" MIG ")[2] if " MIG " in name else _profile(nvml, handle)
        found.append(
            Card(
                handle=handle,
                number=-1,
                parent=card,
                mig_profile=profile,
                uuid=nvml.ask("nvmlDeviceGetUUID", handle) or f"MIG-{card.number}-{place}",
                name=name if " MIG " in name else f"{card.name} MIG {profile}".rstrip(),
                compute_capability=card.compute_capability,
                pci_bus_id=card.pci_bus_id,
                clock_max_mhz=card.clock_max_mhz,
            )
        )
    return found


def sample_card(nvml: Nvml, card: Card, index: int, names: ProcessNames, host_memory: tuple[int, int]) -> Gpu:
    """A card or slice now. `host_memory`: total and available bytes, for cards that share the host's memory.

    A card that is lost keeps its name and total, with nothing free.
    """
    try:
        gpu = _sample(nvml, card, index, names, host_memory)
        card.memory_total_bytes = gpu.memory_total_bytes
        card.lost = False
        return gpu
    except CardLost:
        card.lost = True
        return Gpu(
            index=index,
            uuid=card.uuid,
            name=card.name,
            memory_total_bytes=card.memory_total_bytes,
            memory_free_bytes=0,
            compute_capability=card.compute_capability,
            kind="mig" if card.parent else "gpu",
            visible=False,
            lost=True,
            pci_bus_id=card.pci_bus_id,
            parent=card.parent.uuid if card.parent else "",
            mig_profile=card.mig_profile,
        )


def _sample(nvml: Nvml, card: Card, index: int, names: ProcessNames, host_memory: tuple[int, int]) -> Gpu:
    api, handle = nvml.api, card.handle
    whole = card.parent.handle if card.parent else handle
    """Sensors belong to the whole card."""
    total, free, kind, notes = _memory(nvml, card, host_memory)
    processes = read_processes(nvml, handle, names)
    if processes is None:
        notes.append("The driver does not say which processes use this GPU.")
    elif kind != "unified":
        held = sum(process.memory_bytes or 0 for process in processes)
        unexplained = total - free - held
        # The driver's own reserve is some hundred MiB on any card, 2 to 3 % on large ones with ECC.
        if unexplained > max(1024 * MIB, total // 20) and all(
            process.memory_bytes is not None for process in processes
        ):
            notes.append(
                f"{size(unexplained)} are held by processes that cannot be seen from here"
                " (another container or another user's)."
            )
    rates = None if card.parent else nvml.ask("nvmlDeviceGetUtilizationRates", handle)
    power = nvml.ask("nvmlDeviceGetPowerUsage", whole)
    limit = nvml.ask_any(("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit"), whole)
    reasons = nvml.ask_any(
        ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"), whole
    )
    return Gpu(
        index=index,
        uuid=card.uuid,
        name=card.name,
        kind=kind,
        notes=tuple(notes),
        memory_total_bytes=total,
        memory_free_bytes=free,
        compute_capability=card.compute_capability,
        utilization_percent=rates.gpu if rates else None,
        memory_utilization_percent=rates.memory if rates else None,
        temperature_celsius=nvml.ask("nvmlDeviceGetTemperature", whole, api.NVML_TEMPERATURE_GPU),
        power_watts=power / 1000 if power is not None else None,
        power_limit_watts=limit / 1000 if limit else None,
        clock_mhz=nvml.ask("nvmlDeviceGetClockInfo", whole, api.NVML_CLOCK_SM),
        clock_max_mhz=card.clock_max_mhz,
        throttle_reasons=tuple(words for bit, words in THROTTLE_REASONS.items() if reasons and reasons & bit),
        processes=tuple(processes or ()),
        pci_bus_id=card.pci_bus_id,
        parent=card.parent.uuid if card.parent else "",
        mig_profile=card.mig_profile,
        virtualization=card.virtualization,
        fan_percent=nvml.ask("nvmlDeviceGetFanSpeed", whole),
        pcie_generation=nvml.ask("nvmlDeviceGetCurrPcieLinkGeneration", whole),
        pcie_lanes=nvml.ask("nvmlDeviceGetCurrPcieLinkWidth", whole),
        memory_bandwidth_bytes_per_second=card.bandwidth,
        uncorrected_memory_errors=nvml.ask(
            "nvmlDeviceGetTotalEccErrors", whole, api.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, api.NVML_VOLATILE_ECC
        ),
    )


def _memory(nvml: Nvml, card: Card, host_memory: tuple[int, int]) -> tuple[int, int, Any, list[str]]:
    """Total and free bytes, the kind of memory, and notes."""
    memory = None
    version = getattr(nvml.api, "nvmlMemory_v2", None)
    if version is not None:
        memory = nvml.ask("nvmlDeviceGetMemoryInfo", card.handle, version)
    if memory is None or not memory.total:
        memory = nvml.ask("nvmlDeviceGetMemoryInfo", card.handle)
    if memory is not None and memory.total:
        return memory.total, memory.free, "mig" if card.parent else "gpu", []
    if card.parent:
        attributes = nvml.ask_any(("nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes"), card.handle)
        size = attributes.memorySizeMB * MIB if attributes else 0
        return (
            size,
            size,
            "mig",
            ["The driver does not say how much of this slice is free; all of it is assumed to be."],
        )
    if nvml.last_error and nvml.last_error != nvml.api.NVML_ERROR_NOT_SUPPORTED:
        known = card.memory_total_bytes
        return (
            known,
            0,
            "gpu",
            ["The driver does not say how much memory is free, so none is counted on; see `nvidia-smi -q`."],
        )
    total, available = host_memory
    return (
        total,
        available,
        "unified",
        ["This GPU shares the host's memory; what is free is the host's available memory."],
    )


def read_processes(nvml: Nvml, handle: Any, names: ProcessNames) -> list[GpuProcess] | None:
    """Processes on a card or slice, the largest first; None where the driver does not list them."""
    found: dict[int, int | None] = {}
    listed = False
    for kind in ("Compute", "Graphics", "MPSCompute"):
        functions = tuple(f"nvmlDeviceGet{kind}RunningProcesses{suffix}" for suffix in ("_v3", "_v2"))
        rows = nvml.ask_any(functions, handle)
        if rows is None:
            continue
        listed = True
        for row in rows:
            found[row.pid] = max(filter(None, (found.get(row.pid), row.usedGpuMemory)), default=None)
    if not listed:
        return None
    processes = []
    for pid, held in found.items():
        name, user = names.look_up(pid)
        processes.append(GpuProcess(pid=pid, name=name, user=user, memory_bytes=held))
    return sorted(processes, key=lambda process: -(process.memory_bytes or 0))


def _bus_id(pci: Any) -> str:
    try:
        return pci.busId if pci is not None and isinstance(pci.busId, str) else ""
    except UnicodeDecodeError:
        return ""


def _bandwidth(nvml: Nvml, handle: Any) -> float | None:
    """Peak bytes a second of the card's memory: bus width x clock x 2 transfers (3090: 384 bit, 9751 MHz: 936 GB/s)."""
    width = nvml.ask("nvmlDeviceGetMemoryBusWidth", handle)
    clock = nvml.ask("nvmlDeviceGetMaxClockInfo", handle, nvml.api.NVML_CLOCK_MEM)
    return width / 8 * clock * 1e6 * 2 if width and clock else None


def _profile(nvml: Nvml, handle: Any) -> str:
    """A slice's size in NVIDIA's words, e.g. `1g.10gb`."""
    attributes = nvml.ask_any(("nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes"), handle)
    if not attributes:
        return ""
    return f"{attributes.gpuInstanceSliceCount}g.{round(attributes.memorySizeMB / 1024)}gb"
