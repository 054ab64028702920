"""What a machine is: its host and its GPUs, as found or as simulated."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A frozen document that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GpuProcess(Document):
    """A process that holds memory of a GPU."""

    pid: int
    name: str
    user: str
    memory_bytes: int | None
    """None where the driver does not tell (containers, old drivers)."""


class Gpu(Document):
    """One CUDA device, or one MIG slice of it. None means that the driver does not say."""

    index: int
    uuid: str
    name: str
    memory_total_bytes: int
    memory_free_bytes: int
    compute_capability: tuple[int, int] | None = None
    kind: Literal["gpu", "mig", "unified", "simulated"] = "gpu"
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


class Host(Document):
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


class Machine(Document):
    """Host and GPUs at one moment."""

    host: Host
    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    cuda_version: str | None = None
    problems: tuple[str, ...] = ()
    """Sentences of what is wrong with the GPUs and what to do; empty when all is well."""


class Device(Document):
    """What one training process runs on, for the calculation: a GPU, a simulated GPU, or the CPU."""

    name: str
    kind: Literal["gpu", "cpu"] = "gpu"
    memory_total_bytes: int
    memory_free_bytes: int
    compute_capability: tuple[int, int] | None = None
    count: int = 1
    """Devices that train together, one process each."""
    simulated: bool = False
    memory_bandwidth_bytes_per_second: float | None = None
    peak_flops: float | None = None
    """Dense peak of the training precision, in floating point operations a second."""

    @property
    def bf16(self) -> bool:
        """Whether bfloat16 runs at full rate (compute capability 8.0; CPUs emulate it)."""
        return self.compute_capability is not None and self.compute_capability >= (8, 0)
