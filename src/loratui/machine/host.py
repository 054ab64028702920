"""The computer around the GPUs: processors, memory and disk, within a container's own limits (cgroup 1 and 2)."""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from loratui.core.hardware import Host
from loratui.core.processor_formats import instructions
from loratui.machine.processor_formats import known_gains
from loratui.paths import runs_home, without_tilde

FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "asimd", "bf16", "sve")
"""Instruction sets (/proc/cpuinfo flags) that decide how fast a processor trains."""


def read_host(runs_path: Path | None = None) -> Host:
    """The host now. `runs_path`: where runs will go (it need not exist yet); default: loratui's own folder."""
    limits = read_limits()
    total, available = memory_bytes(limits)
    count, limited_by = processors(limits)
    folder = _existing(runs_path or runs_home())
    disk_total, disk_free = _disk(folder)
    name, features = _processor()
    return Host(
        hostname=platform.node() or "localhost",
        cpu_name=name,
        cpu_count=count,
        cpu_limited_by=limited_by,
        memory_total_bytes=total,
        memory_available_bytes=available,
        memory_limited_by="container (cgroup)"
        if limits.memory_bytes is not None and total == limits.memory_bytes
        else "",
        disk_path=str(folder),
        disk_total_bytes=disk_total,
        disk_free_bytes=disk_free,
        container=in_container(),
        cpu_clock_mhz=_clock_mhz(),
        cpu_features=features,
        bf16_gains=known_gains(name, instructions(features)),
    )


def memory_bytes(limits: CgroupLimits | None = None) -> tuple[int, int]:
    """Total and available bytes of memory for this process: the computer's, or the container's where that is less."""
    import psutil

    memory = psutil.virtual_memory()
    total, available = int(memory.total), int(memory.available)
    limits = limits or read_limits()
    if limits.memory_bytes is not None and limits.memory_bytes < total:
        total = limits.memory_bytes
        available = max(0, min(available, total - (limits.memory_used_bytes or 0)))
    return total, available


def processors(limits: CgroupLimits) -> tuple[int, str]:
    """Processors that this process may use, and what holds them below the computer's."""
    installed = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else installed
    if limits.processors is not None and limits.processors < allowed:
        return max(1, math.ceil(limits.processors)), f"container (cgroup: {limits.processors:g} of {installed})"
    if allowed < installed:
        return allowed, f"affinity ({allowed} of {installed})"
    return allowed, ""


def in_container(root: Path = Path("/")) -> bool:
    """Whether this process runs in a container (Docker, Podman, Kubernetes, LXC, Singularity)."""
    marks = (root / ".dockerenv", root / "run/.containerenv", root / ".singularity.d")
    if any(mark.exists() for mark in marks) or _told_by_environment():
        return True
    try:
        text = (root / "proc/1/cgroup").read_text(errors="replace")
    except OSError:
        return False
    return any(word in text for word in ("docker", "kubepods", "lxc", "containerd", "libpod"))


def _told_by_environment() -> bool:
    """systemd-nspawn, Podman and LXC set `container`, in lower case; Kubernetes its own."""
    return any(os.environ.get(name) for name in ("container", "KUBERNETES_SERVICE_HOST"))


def _existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    path = without_tilde(path).absolute()
    for folder in (path, *path.parents):
        try:
            if folder.exists():
                return folder
        except OSError:  # a parent that may not be read
            continue
    return Path("/")


def _disk(folder: Path) -> tuple[int, int]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return 0, 0
    return usage.total, usage.free


@cache
def _processor() -> tuple[str, tuple[str, ...]]:
    """Name and notable instruction sets of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        text = ""
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    words = set((fields.get("flags") or fields.get("Features") or "").split())
    name = fields.get("model name") or platform.processor() or platform.machine() or "unknown processor"
    return " ".join(name.split()), tuple(feature for feature in FEATURES if feature in words)


@cache
def _clock_mhz() -> int | None:
    """Highest clock of the first processor."""
    try:
        return int(Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").read_text()) // 1000
    except (OSError, ValueError):
        pass
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("cpu MHz"):
                return round(float(line.partition(":")[2]))
    except (OSError, ValueError):
        return None
    return None


UNLIMITED = 2**60
"""Version 1 writes 'no limit' as the largest multiple of a page; no computer has an exbibyte."""


class CgroupLimits(NamedTuple):
    """None where nothing limits."""

    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    """Used by the group with the lowest limit; file pages that can be dropped at once are not counted."""
    processors: float | None = None


def read_limits(root: Path = Path("/")) -> CgroupLimits:
    """The tightest limits on this process. `root`: where /proc and /sys lie (another place in tests)."""
    mount = root / "sys/fs/cgroup"
    groups = own_groups(root / "proc/self/cgroup")
    memory: list[tuple[int, int]] = []
    processors: list[float] = []
    if "" in groups:
        for folder in upwards(mount, groups[""]):
            limit = _number(folder / "memory.max")
            if limit is not None:
                memory.append((limit, _used(folder, "memory.current", "inactive_file")))
            quota = _words(folder / "cpu.max")
            if len(quota) == 2 and quota[0].isdigit() and int(quota[1]):
                processors.append(int(quota[0]) / int(quota[1]))
    for folder in upwards(mount / "memory", groups["memory"]) if "memory" in groups else ():
        limit = _number(folder / "memory.limit_in_bytes")
        if limit is not None and limit < UNLIMITED:
            memory.append((limit, _used(folder, "memory.usage_in_bytes", "total_inactive_file")))
    for folder in upwards(mount / "cpu", groups["cpu"]) if "cpu" in groups else ():
        share, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if share and share > 0 and period:
            processors.append(share / period)
    tightest = min(memory, default=(None, None))
    return CgroupLimits(
        memory_bytes=tightest[0], memory_used_bytes=tightest[1], processors=min(processors, default=None)
    )


def own_groups(path: Path) -> dict[str, str]:
    """Path of this process's group by controller; the empty name is version 2's."""
    groups: dict[str, str] = {}
    for line in _text(path).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        for controller in controllers.split(","):
            groups[controller] = group
    return groups


def upwards(mount: Path, group: str) -> Iterator[Path]:
    """Folders from the group's own up to the mount; inside a container the group's path may not exist."""
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for length in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:length])
        if folder.is_dir():
            yield folder


def _used(folder: Path, file: str, droppable: str) -> int:
    used = _number(folder / file) or 0
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == droppable and value.isdigit():
            return max(0, used - int(value))
    return used


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    try:
        return int(text)
    except ValueError:  # "max", or no such file
        return None


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def cpu_load_percent() -> float:
    """Load of all processors since this was asked last, in whole per cent; 0 the first time."""
    import psutil

    load: float = psutil.cpu_percent(interval=None)
    return round(load)
