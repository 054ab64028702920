"""The device's memory in a training: how much was needed at most; and when it is full, where, why and what would
help.
"""

from __future__ import annotations

import os
import resource
from functools import lru_cache
from typing import Any

import torch
from transformers import AutoConfig

from loratui.core.dataset import DataFacts, uniform
from loratui.core.errors import LoratuiError, WorkerError
from loratui.core.hardware import Device
from loratui.core.memory.alternatives import alternatives
from loratui.core.memory.overhead import context_bytes
from loratui.core.plan import Plan
from loratui.worker.shape import shape_of
from loratui.worker.tokenizer import code_options, model_source
from loratui.worker.training.config import find_device
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.failure import explain, memory_facts

CONTEXT_BYTES = 700 << 20
"""What a CUDA context and its libraries hold beside PyTorch's own pool."""


class MemoryFullError(WorkerError):
    """Out of memory. `facts` are the fields of the `oom` event."""

    code = "oom"

    def __init__(self, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts


def out_of_memory(error: BaseException, plan: Plan, prepared: Prepared, model: Any, phase: str) -> MemoryFullError:
    """What to tell of an out-of-memory error, and the changes that would help."""
    return _told(error, plan, prepared.facts, model.config.to_dict(), phase)


def out_of_memory_at_load(error: BaseException, plan: Plan) -> MemoryFullError:
    """The same before there are a model and rows: of the model its configuration is known, of the rows their greatest
    length.
    """
    source, extra = model_source(plan)
    config = AutoConfig.from_pretrained(source, **(extra | code_options(plan, source)))
    return _told(error, plan, uniform(1, plan.training.max_length), config.to_dict(), "load_model")


def _told(
    error: BaseException, plan: Plan, data: DataFacts, model_config: dict[str, Any], phase: str
) -> MemoryFullError:
    failure = explain(error, phase)
    facts = memory_facts(error) | {"where": failure.where}
    facts["cause"] = cause_of(facts)
    fixes = fixes_for(plan, data, model_config, where=failure.where)
    words = {
        "fragmentation": " The memory was there, but in pieces.",
        "neighbour": " Another process holds a good part of the GPU's memory.",
    }
    message = failure.message + words.get(facts["cause"], "")
    if fixes:
        message += f" What would help: {', '.join(f'{key} = {value}' for key, value in fixes[0]['change'].items())}."
    return MemoryFullError(message, facts | {"message": message, "fixes": fixes})


def cause_of(facts: dict[str, Any]) -> str:
    """size, fragmentation (enough is reserved but not in one piece) or neighbour (others hold what was wanted)."""
    wanted = facts.get("requested_bytes", 0)
    reserved, allocated, free = (facts.get(name) for name in ("reserved_bytes", "allocated_bytes", "free_bytes"))
    if reserved is None or allocated is None or free is None:
        return "size"
    if wanted and reserved - allocated > wanted:
        return "fragmentation"
    total = facts.get("total_bytes", 0)
    return "neighbour" if total and total - free - reserved - CONTEXT_BYTES > max(wanted, 1 << 30) else "size"


def fixes_for(plan: Plan, data: DataFacts, model_config: dict[str, Any], *, where: str = "") -> list[dict[str, Any]]:
    """Changes that need less memory where it ran out, the gentlest first; the effective batch stays. Empty for a model
    that the calculation does not know.
    """
    try:
        here = device(cpu=plan.hardware.cpu)
        found = alternatives(shape_of(model_config, plan.model.id), plan, data, here, where=where)
    except LoratuiError:
        return []
    return [
        {
            "change": one.change,
            "memory_total": one.memory_total_bytes,
            "cost": one.cost,
            "fits": one.fits,
            "start": one.start,
            "unattended": one.unattended,
        }
        for one in found
    ]


def device(*, cpu: bool = False) -> Device:
    """The device as the calculation wants it. cpu: the processors, whatever cards torch sees."""
    import psutil

    kind = find_device(cpu=cpu).kind
    if kind == "xpu":
        free, total = torch.xpu.mem_get_info()
        free += torch.xpu.memory_reserved()
        name = torch.xpu.get_device_name()
        return Device(name=name, memory_total_bytes=total, memory_free_bytes=free, vendor="intel")
    if kind == "mps":
        total = torch.mps.recommended_max_memory()
        return Device(name="Apple GPU (MPS)", memory_total_bytes=total, memory_free_bytes=total, vendor="apple")
    if kind == "cpu":
        memory = psutil.virtual_memory()
        return Device(
            name="CPU",
            kind="cpu",
            memory_total_bytes=memory.total,
            memory_free_bytes=memory.available,
            count=int(os.environ.get("WORLD_SIZE", "1")),
        )
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    free, total = torch.cuda.mem_get_info()
    amd = bool(torch.version.hip)
    return Device(
        name=properties.name,
        memory_total_bytes=total,
        memory_free_bytes=free + torch.cuda.memory_reserved(),
        compute_capability=None if amd else (properties.major, properties.minor),
        vendor="amd" if amd else "nvidia",
        architecture=str(getattr(properties, "gcnArchName", "")) if amd else "",
        count=int(os.environ.get("WORLD_SIZE", "1")),
    )


def process_peak_bytes(*, cpu: bool = False) -> int:
    """Peak of this process in bytes: what torch reserved and what the driver holds beside it, or the resident size on a
    CPU. cpu: whether the processors train, whatever cards torch sees.

    Apple's driver tells no peak: what it holds now, of which torch's pool gives nothing back by itself.
    """
    kind = find_device(cpu=cpu).kind
    if kind == "cuda":
        return torch.cuda.max_memory_reserved() + _beside_torch()
    if kind == "xpu":
        return torch.xpu.max_memory_reserved() + context_bytes(device())
    if kind == "mps":
        return int(torch.mps.driver_allocated_memory())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Begin anew to look for the peak, where the device counts one."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif torch.xpu.is_available():
        torch.xpu.reset_peak_memory_stats()


@lru_cache(maxsize=1)
def _beside_torch() -> int:
    """Context and libraries: the driver's figure for this process less torch's, asked once; the calculation's guess
    where the driver does not tell (containers).
    """
    held = held_by(os.getpid(), str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid))
    beside = held - torch.cuda.memory_reserved() if held else 0
    return beside if beside > 0 else context_bytes(device())


def held_by(pid: int, uuid: str) -> int | None:
    """Bytes of a GPU that a process holds, as NVML says; None where it does not."""
    from loratui.machine.detect import detect_machine

    try:
        gpus = detect_machine().gpus
    except LoratuiError:
        return None
    here = [gpu for gpu in gpus if uuid in gpu.uuid]  # NVML writes "GPU-" before it
    return next((one.memory_bytes for gpu in here for one in gpu.processes or () if one.pid == pid), None)
