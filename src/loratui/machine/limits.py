"""A container's own limits of memory and processors: cgroup version 1 and 2.

Source: Linux kernel, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. A limit holds for everything
below it, so the path from this process's own group up to the root counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 2**60
"""Version 1 writes 'no limit' as the largest multiple of a page; no computer has an exbibyte."""


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """None where nothing limits."""

    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    """Used by the group with the lowest limit; file pages that can be dropped at once are not counted."""
    processors: float | None = None


def read_limits(root: Path = Path("/")) -> CgroupLimits:
    """The tightest limits on this process. `root`: where /proc and /sys lie (another place in tests)."""
    mount = root / "sys/fs/cgroup"
    groups = _own_groups(root / "proc/self/cgroup")
    memory: list[tuple[int, int]] = []
    processors: list[float] = []
    if "" in groups:
        for folder in _upwards(mount, groups[""]):
            limit = _number(folder / "memory.max")
            if limit is not None:
                memory.append((limit, _used(folder, "memory.current", "inactive_file")))
            quota = _words(folder / "cpu.max")
            if len(quota) == 2 and quota[0].isdigit() and int(quota[1]):
                processors.append(int(quota[0]) / int(quota[1]))
    for folder in _upwards(mount / "memory", groups["memory"]) if "memory" in groups else ():
        limit = _number(folder / "memory.limit_in_bytes")
        if limit is not None and limit < UNLIMITED:
            memory.append((limit, _used(folder, "memory.usage_in_bytes", "total_inactive_file")))
    for folder in _upwards(mount / "cpu", groups["cpu"]) if "cpu" in groups else ():
        share, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if share and share > 0 and period:
            processors.append(share / period)
    tightest = min(memory, default=(None, None))
    return CgroupLimits(
        memory_bytes=tightest[0], memory_used_bytes=tightest[1], processors=min(processors, default=None)
    )


def _own_groups(path: Path) -> dict[str, str]:
    """Path of this process's group by controller; the empty name is version 2's."""
    groups: dict[str, str] = {}
    for line in _text(path).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        for controller in controllers.split(","):
            groups[controller] = group
    return groups


def _upwards(mount: Path, group: str) -> Iterator[Path]:
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
