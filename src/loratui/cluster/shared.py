"""Whether the nodes of a partition see a folder: by the mount table where it tells, else by asking a node."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from loratui.cluster.slurm import ClusterError, call
from loratui.files import make_folder, read_object, write_whole
from loratui.paths import state_home

NETWORK = frozenset(
    {
        "nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "afs", "panfs", "wekafs", "orangefs",
        "pvfs2", "glusterfs", "9p", "virtiofs", "gfs2", "ocfs2", "efs", "fuse.glusterfs", "fuse.ceph-fuse",
        "fuse.sshfs", "fuse.juicefs", "fuse.moosefs", "fuse.cvmfs2", "quobyte", "fuse.quobyte",
    }
)  # fmt: skip
"""Kinds of file system that several computers see."""
PROBE_SECONDS = 20
REMEMBERED_SECONDS = 86_400.0
"""How long a node's answer holds."""
UNDECIDED_SECONDS = 60.0
"""How long no node is asked again after none was free to answer."""
_UNDECIDED: dict[str, float] = {}
"""When no node was free to answer, by mount and partition."""


@dataclass(frozen=True)
class Mount:
    """Where a path lies."""

    point: str
    kind: str

    @property
    def network(self) -> bool:
        """Whether it is a kind that several computers see."""
        return self.kind in NETWORK


def mount_of(path: Path, table: str | None = None) -> Mount:
    """The mount that holds a path, which need not exist yet. table: as /proc/self/mountinfo."""
    if table is None:
        table = Path("/proc/self/mountinfo").read_text(errors="replace")
    target = os.path.realpath(path)
    best = Mount("/", "")
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        words = left.split()
        if len(words) < 5 or not right:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[4])
        if (target == point or target.startswith(point.rstrip("/") + "/")) and len(point) >= len(best.point):
            best = Mount(point, right.split()[0])
    return best


def require_shared(path: Path, partition: str, *, extra: tuple[str, ...] = ()) -> str:
    """ClusterError where the nodes do not see what lies here. Empty where they do; else a sentence: it could not be
    found out.

    path: the nearest folder that exists is asked for. extra: further options of srun (account, QOS).
    """
    folder = path if path.is_dir() else next(one for one in path.parents if one.is_dir())
    mount = mount_of(folder)
    if mount.network or _known(mount, partition):
        return ""
    key = _key(mount, partition)
    waited = time.monotonic() - _UNDECIDED.get(key, -REMEMBERED_SECONDS) < UNDECIDED_SECONDS
    seen = None if waited else probe(folder, partition, extra)
    if seen is None:
        _UNDECIDED.setdefault(key, time.monotonic())
        return (
            f"{folder} lies on {mount.kind or 'a file system'} of this machine ({mount.point}); no node was free to "
            "say whether it sees that. If it does not, the job will fail at once."
        )
    if not seen:
        raise ClusterError(
            f"the nodes of partition {partition or '(default)'} do not see {folder}: it lies on {mount.kind} of this "
            "machine alone.",
            hint="Set LORATUI_HOME (or --output) to a folder on a file system that all nodes share, e.g. your home.",
        )
    _remember(mount, partition)
    return ""


def probe(folder: Path, partition: str, extra: tuple[str, ...] = ()) -> bool | None:
    """Whether a node sees a file that is made here for it; None where no node was free to answer at once.

    Raises OSError where nothing can be written there.
    """
    token = folder / f".loratui-{secrets.token_hex(8)}"
    token.touch(exist_ok=False)
    command = ["srun", f"--immediate={PROBE_SECONDS // 2}", "--nodes=1", "--ntasks=1", "--time=1", "--mpi=none"]
    command += [f"--partition={partition}"] if partition else []
    look = 'test -e "$1" && echo seen || echo unseen'
    command += [*extra, "--job-name=loratui-look", "--chdir=/", "--quiet", "/bin/sh", "-c", look, "sh", str(token)]
    try:
        done = call(command, timeout_seconds=PROBE_SECONDS)
    except ClusterError:
        return None
    finally:
        token.unlink(missing_ok=True)
    said = done.stdout.split()
    return None if done.returncode or said not in (["seen"], ["unseen"]) else said == ["seen"]


def _key(mount: Mount, partition: str) -> str:
    return f"{mount.point} {mount.kind} {partition}"


def _kept() -> dict[str, object]:
    try:
        return read_object(state_home() / "shared-mounts.json")
    except OSError:
        return {}


def _known(mount: Mount, partition: str) -> bool:
    at = _kept().get(_key(mount, partition))
    return isinstance(at, int | float) and 0 <= time.time() - at < REMEMBERED_SECONDS


def _remember(mount: Mount, partition: str) -> None:
    try:
        make_folder(state_home())
        kept = {**_kept(), _key(mount, partition): round(time.time())}
        write_whole(state_home() / "shared-mounts.json", json.dumps(kept) + "\n")
    except OSError:
        return
