"""The host: what this computer has, and where it is limited."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from loratui.machine import host as host_module
from loratui.machine.host import CgroupLimits, in_container, memory_bytes, processors, read_host


def test_figures_are_this_computers(tmp_path: Path) -> None:
    host = read_host(tmp_path / "not" / "yet" / "there")
    assert 1 <= host.cpu_count <= (os.cpu_count() or 1)
    assert 0 < host.memory_available_bytes <= host.memory_total_bytes <= psutil.virtual_memory().total
    assert Path(host.disk_path) == tmp_path
    assert 0 < host.disk_free_bytes <= host.disk_total_bytes
    assert host.cpu_name


def test_runs_go_where_the_home_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    assert Path(read_host().disk_path) == tmp_path


def test_containers_memory_is_less_than_the_computers() -> None:
    total, available = memory_bytes(CgroupLimits(memory_bytes=2**30, memory_used_bytes=2**29))
    assert total == 2**30 and available <= 2**29


def test_limit_above_the_computers_memory_changes_nothing() -> None:
    assert memory_bytes(CgroupLimits(memory_bytes=2**60))[0] == psutil.virtual_memory().total


def test_cgroup_processors_are_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module.os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(host_module.os, "cpu_count", lambda: 64)
    assert processors(CgroupLimits(processors=1.5)) == (2, "container (cgroup: 1.5 of 64)")
    assert processors(CgroupLimits()) == (64, "")


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module.os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(host_module.os, "cpu_count", lambda: 64)
    assert processors(CgroupLimits()) == (3, "affinity (3 of 64)")


def test_container_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("container", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert not in_container(tmp_path)
    (tmp_path / ".dockerenv").touch()
    assert in_container(tmp_path)
