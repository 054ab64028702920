"""AMD's cards: by AMD's own library where its Python package is here (amdsmi), else by what the kernel's driver writes.

Source: amdsmi 7.0.2 (`amdsmi_interface.py`); Linux, Documentation/gpu/amdgpu (mem_info_vram_total, gpu_busy_percent);
the nodes of /sys/class/kfd, in whose order HIP counts cards. None of it was read from a real card here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loratui.core.hardware import Gpu, GpuProcess

MIB = 2**20
ROOT = Path("/")
UNTOLD = "N/A"


def amd_gpus(environment: Mapping[str, str], root: Path = ROOT) -> tuple[Gpu, ...]:
    """The cards that HIP counts, in its order; those that the environment hides are marked. root: where /sys lies."""
    nodes = tuple(_nodes(root))
    if not nodes:
        return ()
    told = _by_library()
    gpus = [_gpu(index, node, told.get(node["bus"], {})) for index, node in enumerate(nodes)]
    return _numbered(gpus, environment)


def _gpu(index: int, node: dict[str, Any], more: Mapping[str, Any]) -> Gpu:
    total, used = more.get("memory") or (node["total"], node["used"])
    return Gpu(
        index=index,
        vendor="amd",
        architecture=node["architecture"],
        uuid=node["uuid"],
        name=more.get("name") or node["name"],
        memory_total_bytes=total,
        memory_free_bytes=max(0, total - used),
        pci_bus_id=node["bus"],
        utilization_percent=more.get("busy", node["busy"]),
        temperature_celsius=more.get("temperature"),
        power_watts=more.get("power"),
        processes=more.get("processes", ()),
        notes=() if more else ("The package amdsmi is not here: power, heat and processes of this card are not read.",),
    )


def _nodes(root: Path) -> Iterator[dict[str, Any]]:
    """Of each card what the kernel's driver says."""
    folders = (root / "sys/class/kfd/kfd/topology/nodes").glob("*")
    for folder in sorted(folders, key=lambda one: int(one.name) if one.name.isdigit() else 0):
        facts = dict(line.split(None, 1) for line in _text(folder / "properties").splitlines() if " " in line)
        version, minor = (_number(facts.get(name)) for name in ("gfx_target_version", "drm_render_minor"))
        if not version or not minor or not _number(facts.get("simd_count")):
            continue  # a processor
        device = root / f"sys/class/drm/renderD{minor}/device"
        total = _number(_text(device / "mem_info_vram_total"))
        if not total:
            continue
        unique = _number(facts.get("unique_id")) or minor
        yield {
            "architecture": f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}",
            "uuid": f"GPU-{unique:016x}",
            "name": _text(device / "product_name") or f"AMD {_text(folder / 'name') or 'GPU'}",
            "bus": device.resolve().name,
            "total": total,
            "used": _number(_text(device / "mem_info_vram_used")) or 0,
            "busy": _number(_text(device / "gpu_busy_percent")),
        }


def _by_library() -> dict[str, dict[str, Any]]:
    """What AMD's library says, by the card's place on the bus; nothing where it is not here, or does not answer."""
    library = _library()
    if library is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(library.AmdSmiException):
        for handle in library.amdsmi_get_processor_handles():
            bus = _asked(library, "amdsmi_get_gpu_device_bdf", handle)
            if bus:
                found[bus] = _of_library(library, handle)
    return found


def _of_library(library: Any, handle: Any) -> dict[str, Any]:
    name = (_asked(library, "amdsmi_get_gpu_asic_info", handle) or {}).get("market_name", UNTOLD)
    memory = _asked(library, "amdsmi_get_gpu_vram_usage", handle) or {}
    busy = (_asked(library, "amdsmi_get_gpu_activity", handle) or {}).get("gfx_activity", UNTOLD)
    power = _asked(library, "amdsmi_get_power_info", handle) or {}
    watts = [power.get(key, UNTOLD) for key in ("current_socket_power", "average_socket_power")]
    hotspot, current = library.AmdSmiTemperatureType.HOTSPOT, library.AmdSmiTemperatureMetric.CURRENT
    holders = _asked(library, "amdsmi_get_gpu_process_list", handle) or []
    found = {
        "name": "" if name == UNTOLD else name,
        "memory": (memory["vram_total"] * MIB, memory["vram_used"] * MIB) if memory.get("vram_total") else None,
        "power": next((float(one) for one in watts if isinstance(one, int | float) and one > 0), None),
        "temperature": _asked(library, "amdsmi_get_temp_metric", handle, hotspot, current),
        "processes": tuple(
            GpuProcess(pid=one["pid"], name=one["name"], user="", memory_bytes=one["memory_usage"]["vram_mem"] or None)
            for one in holders
        ),
    }
    return found | ({"busy": busy} if isinstance(busy, int) else {})


def _asked(library: Any, name: str, *arguments: Any) -> Any:
    """The answer of a function; None where this version has none such, or the card does not say."""
    try:
        return getattr(library, name)(*arguments)
    except (AttributeError, library.AmdSmiException):
        return None


@lru_cache(maxsize=1)
def _library() -> Any:
    """AMD's package, started; None where it is not installed, or finds no driver."""
    if find_spec("amdsmi") is None:
        return None
    try:
        import amdsmi
    except (ImportError, OSError, KeyError):  # its own library is not to be found
        return None
    try:
        amdsmi.amdsmi_init()
    except amdsmi.AmdSmiException:
        return None
    return amdsmi


def _numbered(gpus: list[Gpu], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The cards as HIP numbers them: those that ROCR_VISIBLE_DEVICES names, in its order, are all it has; of these
    HIP_VISIBLE_DEVICES, or CUDA_VISIBLE_DEVICES where it is not set, shows some.
    """
    rocr = environment.get("ROCR_VISIBLE_DEVICES")
    shown = _named(gpus, rocr) if rocr else gpus
    hip = environment.get("HIP_VISIBLE_DEVICES", environment.get("CUDA_VISIBLE_DEVICES"))
    used = shown if hip is None else _named(shown, hip)
    rest = [gpu for gpu in gpus if gpu not in shown]
    return tuple(replace(gpu, index=index, visible=gpu in used) for index, gpu in enumerate([*shown, *rest]))


def _named(gpus: list[Gpu], value: str) -> list[Gpu]:
    """Cards by number or UUID, up to the first entry that names none."""
    found: list[Gpu] = []
    for entry in (part.strip() for part in value.split(",")):
        at = int(entry) if entry.isdigit() else next((n for n, gpu in enumerate(gpus) if gpu.uuid == entry), -1)
        if not 0 <= at < len(gpus):
            break
        found.append(gpus[at])
    return found


def _number(text: str | None) -> int | None:
    try:
        return int((text or "").strip())
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
