"""The machine screen, live, in a real pseudo-terminal: what it writes and what it costs when nobody touches it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from console import Console

pytestmark = pytest.mark.terminal
SOURCE = Path(__file__).parents[1] / "machine" / "standin_nvml.c"
SECONDS = 5.0
WINDOWS = 3
"""The quietest of three: while tests run beside this one, the demo's data may still be counted in the first."""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Folder of the stand-in NVML."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in NVML with")
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-Wl,-soname,libnvidia-ml.so.1",
        "-o",
        str(tmp_path / "libnvidia-ml.so.1"),
        str(SOURCE),
    ]
    subprocess.run(command, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("machine", "card", "columns", "rows"), [("restless", "RTX 3090", 80, 24), ("8xh100-restless", "H100", 120, 36)]
)
def test_live_figures_cost_little_over_a_slow_line(
    start: Callable[..., Console], library: Path, machine: str, card: str, columns: int, rows: int
) -> None:
    """GPUs on which every figure moves at every sample."""
    console = start("--demo", columns=columns, rows=rows, LD_LIBRARY_PATH=str(library), STANDIN_MACHINE=machine)
    console.until(card, "GiB free", "fits")
    console.pump(2)
    first, process = console.text, psutil.Process(console.pid)
    rates, shares = [], []
    for _ in range(WINDOWS):
        written, began = console.bytes_written, process.cpu_times()
        console.pump(SECONDS)
        spent = process.cpu_times()
        rates.append((console.bytes_written - written) / SECONDS)
        shares.append((spent.user + spent.system - began.user - began.system) / SECONDS)
    print(f"{rates} bytes and {shares} of a core a second")
    assert console.text != first, "the figures move"
    assert min(rates) < 1000
    assert (
        min(shares) < 0.06
    )  # 2 % on a quiet machine (benchmarks/machine_idle.py); other tests may run beside this one
