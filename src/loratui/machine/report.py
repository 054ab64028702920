"""A machine in plain aligned lines, and as the one JSON object of `machine --json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from loratui.core.accelerators import ACCELERATORS, FEATURES, best_format
from loratui.core.capabilities import Capabilities, capabilities
from loratui.core.hardware import Gpu, Host, Machine
from loratui.core.processor_formats import instructions
from loratui.format import size
from loratui.machine.device import choose_gpu, cpu_peak_flops, is_idle, speeds

BAR_CELLS = 24


def machine_json(machine: Machine) -> dict[str, Any]:
    """Everything: the document, with what follows from each card's compute capability and what a training would use."""
    document = asdict(machine)
    chosen = choose_gpu(machine)
    for gpu, row in zip(machine.gpus, document["gpus"], strict=True):
        row["memory_used_bytes"] = gpu.memory_used_bytes
        row["capabilities"] = _capabilities(gpu)
        row["peak_flops"] = speeds(gpu).peak
        row["idle"] = is_idle(gpu)
    document["training_device"] = chosen.index if chosen else "cpu"
    document["host"]["cpu_peak_flops"] = cpu_peak_flops(machine.host)
    document["host"]["bf16_instructions"] = instructions(machine.host.cpu_features)
    return document


def _capabilities(gpu: Gpu) -> dict[str, Any] | None:
    if gpu.compute_capability is None:
        return None if gpu.vendor == "nvidia" else {"best_precision": best_format(gpu.vendor, gpu.architecture)}
    found = capabilities(gpu.compute_capability)
    return {**found._asdict(), "best_precision": found.best_precision}


def machine_lines(machine: Machine) -> list[str]:
    """The machine as lines of text, at most about 100 columns."""
    lines = _host_lines(machine)
    if machine.driver_version:
        lines.append(_row("Driver", f"{machine.driver_version}, CUDA up to {machine.cuda_version or 'unknown'}"))
    if machine.scheduler:
        lines.append(_row("Scheduler", machine.scheduler))
    if machine.visible_devices is not None:
        lines.append(_row("CUDA_VISIBLE_DEVICES", machine.visible_devices or "(empty)"))
    chosen = choose_gpu(machine)
    for gpu in machine.gpus:
        lines += ["", *gpu_lines(gpu, chosen=chosen is not None and chosen.index == gpu.index)]
    if machine.links:
        lines += ["", *_link_lines(machine)]
    if machine.problems:
        lines += ["", *(f"! {problem}" for problem in machine.problems)]
    if machine.notes:
        lines += ["", *machine.notes]
    if chosen is None:
        lines += [
            "",
            "Training would run on the CPU: right for trying things out on models of up to about 0.5 B parameters.",
        ]
    return lines


def _host_lines(machine: Machine) -> list[str]:
    host = machine.host
    cpu = f"{host.cpu_name}, {host.cpu_count} processors" + (
        f", limited by {host.cpu_limited_by}" if host.cpu_limited_by else ""
    )
    memory = f"{size(host.memory_available_bytes)} free of {size(host.memory_total_bytes)}"
    memory += f", limited by {host.memory_limited_by}" if host.memory_limited_by else ""
    return [
        _row("Host", host.hostname + (" (container)" if host.container else "")),
        _row("CPU", cpu),
        *_bf16_lines(host),
        _row("Memory", memory),
        _row("Disk", f"{size(host.disk_free_bytes)} free of {size(host.disk_total_bytes)} at {host.disk_path}"),
    ]


def _bf16_lines(host: Host) -> list[str]:
    """What the processor makes of bfloat16; nothing where it has no instructions for it and nobody says otherwise."""
    own = instructions(host.cpu_features)
    if host.bf16_gains:
        words = ", ".join(f"{gain:.2g} × float32 at width {width:,}" for width, gain in host.bf16_gains)
        return [_row("  bfloat16", words)]
    return [_row("  bfloat16", f"has {own}; how fast was not measured yet (`loratui doctor` does)")] if own else []


def gpu_lines(gpu: Gpu, *, chosen: bool = False) -> list[str]:
    """One GPU in a few lines: memory first, then what it is doing, what it can do, and who else is on it."""
    marks: list[str] = [gpu.kind] if gpu.kind in ("mig", "unified") else []
    marks += [gpu.virtualization] if gpu.virtualization else []
    marks += ["lost"] if gpu.lost else [] if gpu.visible else ["hidden"]
    marks += ["training takes this one"] if chosen else []
    lines = [f"GPU {gpu.index}  {gpu.name}" + (f"  [{', '.join(marks)}]" if marks else "")]
    lines.append(_row("  memory", f"{_bar(gpu)} {size(gpu.memory_free_bytes)} free of {size(gpu.memory_total_bytes)}"))
    doing = list(_activity(gpu))
    if doing:
        lines.append(_row("  now", ", ".join(doing)))
    if gpu.throttle_reasons:
        lines.append(_row("  slowed by", ", ".join(gpu.throttle_reasons)))
    if gpu.compute_capability:
        lines.append(_row("  can", can_words(capabilities(gpu.compute_capability), gpu.compute_capability)))
    elif gpu.vendor != "nvidia":
        lacks = ", ".join(FEATURES[feature] for feature in ACCELERATORS[gpu.vendor].lacks)
        formats = f"train in {best_format(gpu.vendor, gpu.architecture)}"
        lines.append(_row("  can", f"{gpu.architecture} {formats}; without: {lacks}".lstrip()))
    for process in gpu.processes:
        held = size(process.memory_bytes) if process.memory_bytes is not None else "unknown size"
        user = f" of {process.user}" if process.user else ""
        lines.append(_row("  held by", f"{held:>10}  {process.name}{user} (process {process.pid})"))
    lines += [_row("  note", note) for note in gpu.notes]
    return lines


def can_words(found: Capabilities, capability: tuple[int, int]) -> str:
    """What a card can do, on one line."""
    has = [
        word
        for word, support in (
            ("bf16", found.bf16),
            ("fp16", found.fp16),
            ("tf32", found.tf32),
            ("fp8", found.fp8),
            ("fp4", found.fp4),
            ("flash attention 2", found.flash_attention_2),
            ("flash attention 3", found.flash_attention_3),
        )
        if support == "yes"
    ]
    lacks = [] if found.bf16 == "yes" else ["no bf16: train in " + found.best_precision]
    return f"{', '.join(has + lacks)} (compute capability {capability[0]}.{capability[1]}, {found.architecture})"


def _activity(gpu: Gpu) -> list[str]:
    words = []
    if gpu.utilization_percent is not None:
        words.append(f"{gpu.utilization_percent} % busy")
    if gpu.temperature_celsius is not None:
        words.append(f"{gpu.temperature_celsius} °C")
    if gpu.power_watts is not None:
        words.append(
            f"{gpu.power_watts:.0f} W" + (f" of {gpu.power_limit_watts:.0f} W" if gpu.power_limit_watts else "")
        )
    if gpu.clock_mhz is not None:
        words.append(f"{gpu.clock_mhz} MHz" + (f" of {gpu.clock_max_mhz} MHz" if gpu.clock_max_mhz else ""))
    if gpu.pcie_generation and gpu.pcie_lanes:
        words.append(f"PCIe {gpu.pcie_generation} × {gpu.pcie_lanes}")
    return words


def _link_lines(machine: Machine) -> list[str]:
    """One line for each way in which cards are joined."""
    words = {
        "nvlink": "NVLink",
        "pcie": "PCIe, below one host bridge",
        "system": "across processors or host bridges (slowest)",
    }
    lines = []
    for kind, name in words.items():
        pairs = [link for link in machine.links if link.kind == kind]
        if not pairs:
            continue
        if len(pairs) == len(machine.links) and len(pairs) > 3:
            which = "all GPUs with each other"
        else:
            which = ", ".join(
                f"{pair.first}–{pair.second}" + (f" ({pair.lanes} links)" if pair.lanes else "") for pair in pairs
            )
        lines.append(_row("Joined by", f"{name}: {which}"))
    return lines


def _bar(gpu: Gpu) -> str:
    share = gpu.memory_used_bytes / gpu.memory_total_bytes if gpu.memory_total_bytes else 0.0
    used = round(share * BAR_CELLS)
    return "█" * used + "░" * (BAR_CELLS - used)


def _row(name: str, text: str) -> str:
    return f"{name:<14}{text}" if len(name) < 14 else f"{name} {text}"
