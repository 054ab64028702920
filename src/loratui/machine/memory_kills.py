"""How often the kernel has killed a process for want of host memory: in a control group (version 1 and 2), and on the
machine.

A process that is killed leaves no word. Two counts, one from before its end and one from after, say what ended it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loratui.format import size
from loratui.machine.host import own_groups, read_limits, upwards

MOUNT = Path("sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryKills:
    """Counts since the machine's or the group's start; None where the system does not tell."""

    group: str = ""
    """The folder of the control group, as its file system shows it; empty where there is none."""
    in_group: int | None = None
    """Processes of the group, and of those below it, that were killed."""
    on_machine: int | None = None
    limit_bytes: int | None = None
    """The tightest limit on the group's memory."""


def read_kills(root: Path = Path("/")) -> MemoryKills:
    """The counts for this process. `root`: where /proc and /sys lie (another place in tests)."""
    folder = _own_group(root)
    return MemoryKills(
        group=f"/{folder.relative_to(root)}" if folder else "",
        in_group=_in_group(folder) if folder else None,
        on_machine=_counted(root / "proc/vmstat", "oom_kill"),
        limit_bytes=read_limits(root).memory_bytes,
    )


def again(before: MemoryKills, root: Path = Path("/")) -> MemoryKills:
    """The same counts as they are now, whichever process asks. Only what lies among the control groups is read."""
    folder = root / before.group.lstrip("/")
    ours = bool(before.group) and ".." not in folder.parts and folder.is_relative_to(root / MOUNT)
    return MemoryKills(
        group=before.group,
        in_group=_in_group(folder) if ours else None,
        on_machine=_counted(root / "proc/vmstat", "oom_kill"),
        limit_bytes=before.limit_bytes,
    )


def killed_since(before: MemoryKills, now: MemoryKills) -> str:
    """Where a process was killed between the two, in words that go on after "for want of host memory"; empty where
    none was.
    """
    if before.in_group is not None and now.in_group is not None:
        limit = f", whose limit is {size(before.limit_bytes)}" if before.limit_bytes else ""
        return f"in its control group{limit}" if now.in_group > before.in_group else ""
    if before.on_machine is not None and now.on_machine is not None and now.on_machine > before.on_machine:
        return "on this machine"
    return ""


def memory_killed(before: MemoryKills) -> str:
    """Of a process that was just killed, in words that go on after "killed": that the kernel did it for want of memory.
    Empty where it did not. before: the counts of when it was started.
    """
    if before.in_group is None and before.on_machine is None:
        return "(by the system, when memory is full, or by somebody: this system does not tell)"
    where = killed_since(before, again(before))
    return f"by the kernel for want of host memory {where}" if where else ""


def _own_group(root: Path) -> Path | None:
    groups = own_groups(root / "proc/self/cgroup")
    for controller, mount in (("memory", root / MOUNT / "memory"), ("", root / MOUNT)):
        for folder in upwards(mount, groups[controller]) if controller in groups else ():
            if _in_group(folder) is not None:
                return folder
    return None


def _in_group(folder: Path) -> int | None:
    for name in ("memory.events", "memory.oom_control"):
        found = _counted(folder / name, "oom_kill")
        if found is not None:
            return found
    return None


def _counted(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
