"""cgroup limits, from trees of files as the kernel lays them out."""

from __future__ import annotations

from pathlib import Path

from loratui.machine.host import read_limits


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_version_2_takes_the_tightest_on_the_way_up(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/pod/memory.max": "8589934592\n",
            "sys/fs/cgroup/pod/memory.current": "1073741824\n",
            "sys/fs/cgroup/pod/memory.stat": "anon 5\ninactive_file 73741824\n",
            "sys/fs/cgroup/pod/box/memory.max": "max\n",
            "sys/fs/cgroup/pod/box/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/pod/cpu.max": "max 100000\n",
        },
    )
    limits = read_limits(root)
    assert limits.memory_bytes == 8 * 2**30
    assert limits.memory_used_bytes == 1_000_000_000
    assert limits.processors == 1.5


def test_version_2_inside_a_container_whose_path_does_not_exist(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/docker/abc\n",
            "sys/fs/cgroup/memory.max": "2147483648\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        },
    )
    limits = read_limits(root)
    assert (limits.memory_bytes, limits.processors) == (2 * 2**30, 4.0)


def test_version_1(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/slurm/job_1\n3:cpu,cpuacct:/slurm/job_1\n0::/\n",
            "sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes": "17179869184\n",
            "sys/fs/cgroup/memory/slurm/job_1/memory.usage_in_bytes": "4294967296\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu/slurm/job_1/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/slurm/job_1/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    limits = read_limits(root)
    assert (limits.memory_bytes, limits.memory_used_bytes, limits.processors) == (16 * 2**30, 4 * 2**30, 2.0)


def test_no_limits_at_all(tmp_path: Path) -> None:
    limits = read_limits(write(tmp_path, {"proc/self/cgroup": "0::/\n"}))
    assert (limits.memory_bytes, limits.memory_used_bytes, limits.processors) == (None, None, None)
