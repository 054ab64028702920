"""What a machine is: its host and its GPUs, as found or as simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from loratui.core.accelerators import Vendor, best_format
from loratui.core.measured import LearnedMemory
from loratui.core.processor_formats import Gains

# Dataclasses, not pydantic's models: these figures are read from drivers, never from a person, and the first screen of
# the wizard needs them before it needs any document.


@dataclass(frozen=True, kw_only=True)
class GpuProcess:
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    user: str
    memory_bytes: int | None
    """None where the driver does not tell (containers, old drivers)."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One card, or one MIG slice of it. None means that the driver does not say.

    `index` is the number that `hardware.devices` of a plan takes: the driver's own (as nvidia-smi counts) unless the
    machine has MIG slices, where each slice has a number of its own. A training process is given the `uuid`.
    """

    index: int
    uuid: str
    name: str
    memory_total_bytes: int
    memory_free_bytes: int
    compute_capability: tuple[int, int] | None = None
    kind: Literal["gpu", "mig", "unified", "simulated"] = "gpu"
    vendor: Vendor = "nvidia"
    architecture: str = ""
    """AMD's name of what it computes with, e.g. `gfx942`; of NVIDIA's cards `compute_capability` says it."""
    utilization_percent: int | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    clock_mhz: int | None = None
    clock_max_mhz: int | None = None
    throttle_reasons: tuple[str, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    visible: bool = True
    """False where CUDA_VISIBLE_DEVICES or the scheduler hides it from a training process."""
    notes: tuple[str, ...] = ()
    pci_bus_id: str = ""
    parent: str = ""
    """UUID of the card that a MIG slice is cut from."""
    mig_profile: str = ""
    """A MIG slice's size, e.g. `1g.10gb`."""
    virtualization: str = ""
    """`vgpu` or `passthrough` in a virtual machine; empty on bare metal."""
    memory_utilization_percent: int | None = None
    """Share of the time in which memory was read or written."""
    fan_percent: int | None = None
    pcie_generation: int | None = None
    pcie_lanes: int | None = None
    memory_bandwidth_bytes_per_second: float | None = None
    """Peak of the card's own memory, from its bus width and clock, or from the catalogue."""
    uncorrected_memory_errors: int | None = None
    """ECC errors since the driver was loaded that could not be corrected."""
    lost: bool = False
    """The driver no longer reaches the card; its figures are the last known ones."""

    @property
    def memory_used_bytes(self) -> int:
        """Bytes that are not free, whoever holds them."""
        return max(0, self.memory_total_bytes - self.memory_free_bytes)


@dataclass(frozen=True, kw_only=True)
class GpuLink:
    """How two cards reach each other. `first` and `second` are indices of Gpu."""

    first: int
    second: int
    kind: Literal["nvlink", "pcie", "system"]
    """`pcie` stays below one host bridge; `system` crosses processors or host bridges."""
    lanes: int = 0
    """Active NVLinks between the two; 0 where they meet in a switch or have none."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """The computer around the GPUs; limits are a container's own where they are lower."""

    hostname: str
    cpu_name: str
    cpu_count: int
    """Processors that this process may use (affinity and cgroup quota counted in)."""
    memory_total_bytes: int
    memory_available_bytes: int
    disk_path: str
    disk_total_bytes: int
    disk_free_bytes: int
    container: bool = False
    cpu_clock_mhz: int | None = None
    """Highest clock of a processor."""
    cpu_features: tuple[str, ...] = ()
    """Instruction sets that decide the speed of training on it: avx2, avx512f, amx_bf16, neon ..."""
    memory_limited_by: str = ""
    """What holds the memory below the computer's own, e.g. `container (cgroup)`."""
    cpu_limited_by: str = ""
    bf16_gains: Gains = ()
    """How much faster the processor is in bfloat16, by width; empty where it was not measured."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Host and GPUs at one moment."""

    host: Host
    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    cuda_version: str | None = None
    vendor: Vendor = "nvidia"
    """Whose cards these are, and whose driver was asked."""
    driver: Literal["works", "absent", "broken"] = "absent"
    """`broken`: there, or needed by a card that is there, but it does not answer; `problems` says why."""
    problems: tuple[str, ...] = ()
    """Sentences of what is wrong with the GPUs and what to do; empty when all is well."""
    notes: tuple[str, ...] = ()
    """Sentences that are worth knowing and no fault."""
    links: tuple[GpuLink, ...] = ()
    visible_devices: str | None = None
    """CUDA_VISIBLE_DEVICES as set; None where it is not."""
    scheduler: str = ""
    """Batch scheduler that gave this process its share, or that this login node belongs to, e.g. `slurm`."""
    sampled_at: float | None = None
    """Seconds since 1970 at which the figures were read."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What one training process runs on, for the calculation: a GPU, a simulated GPU, or the CPU."""

    name: str
    kind: Literal["gpu", "cpu"] = "gpu"
    memory_total_bytes: int
    memory_free_bytes: int
    compute_capability: tuple[int, int] | None = None
    vendor: Vendor = "nvidia"
    architecture: str = ""
    """As `Gpu.architecture`."""
    count: int = 1
    """Devices that train together, one process each."""
    nodes: int = 1
    """Computers over which they are spread, each with as many."""
    simulated: bool = False
    memory_bandwidth_bytes_per_second: float | None = None
    peak_flops: float | None = None
    """Dense peak of the best format to train in, in floating point operations a second."""
    fp32_peak_flops: float | None = None
    """Dense peak in float32 as training computes it (TF32 where the card has it); None where it is `peak_flops` or not
    known.
    """
    attention_kernels: tuple[str, ...] = ()
    """Values of `model.attention` that the installed packages offer beside sdpa: `flash_attention_2`, or `torch_varlen`
    where torch is new enough."""
    liger: bool = False
    """Whether the package liger-kernel is installed here, and Triton, which its kernels are written in."""
    learned: LearnedMemory | None = None
    """What runs of the model's family needed here beyond their prediction; corrects estimates."""
    bf16_instructions: str = ""
    """A processor's own instructions for bfloat16, by their flag; empty where it names none."""
    bf16_gains: Gains = ()
    """How much faster a processor is in bfloat16, by width; empty where it was not measured."""
    assumed: str = ""
    """Where only a size is known: whose compute capability is taken, in words for a person."""

    @property
    def bf16(self) -> bool:
        """Whether bfloat16 runs at full rate (NVIDIA: compute capability 8.0). Of a CPU `bf16_gains` tells."""
        if self.vendor != "nvidia":
            return best_format(self.vendor, self.architecture) == "bf16"
        return self.compute_capability is not None and self.compute_capability >= (8, 0)

    def peak_flops_in(self, precision: str) -> float | None:
        """Dense peak with training.precision = `precision`, in operations a second; None where it is not known."""
        return self.fp32_peak_flops or self.peak_flops if precision == "fp32" else self.peak_flops
