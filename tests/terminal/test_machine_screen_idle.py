"""The machine screen, live, in a real pseudo-terminal: what it writes and what it costs when nobody touches it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from console import Console

from waiting import wait_for

pytestmark = pytest.mark.terminal
SOURCE = Path(__file__).parents[1] / "machine" / "standin_nvml.c"
SECONDS = 5.0


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


def wakings(pid: int) -> int:
    """How often the threads of a process have begun to work after they had waited: some 20 a second at rest, 60 and
    more for each thing that is painted at every frame. What that costs in processor time is told by
    `benchmarks/machine_idle.py`, on a quiet machine.
    """
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += int((task / "status").read_text().rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return found


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
    first = console.text

    def is_at_rest() -> bool:
        written, woken = console.bytes_written, wakings(console.pid)
        console.pump(SECONDS)
        bytes_a_second = (console.bytes_written - written) / SECONDS
        wakings_a_second = (wakings(console.pid) - woken) / SECONDS
        print(f"{bytes_a_second:.0f} bytes and {wakings_a_second:.0f} wakings a second")
        return bytes_a_second < 1000 and wakings_a_second < 100

    wait_for(is_at_rest, "few bytes and little work")  # not at once: the demo's data are still counted
    assert console.text != first, "the figures move"
