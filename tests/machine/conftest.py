"""A stand-in for NVIDIA's NVML, built from C, that the real binding loads in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from loratui.core.hardware import Machine

SOURCE = Path(__file__).with_name("standin_nvml.c")
CLEARED = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "SLURM_JOB_ID",
    "SLURM_JOB_GPUS",
    "SLURM_STEP_GPUS",
    "LORATUI_HOME",
    "KUBERNETES_SERVICE_HOST",
)

Detect = Callable[..., Machine]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with a libnvidia-ml.so.1 each: `new`, and `old` without what drivers before 510 lack."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in NVML with")
    folders = {}
    for name, flags in (("new", []), ("old", ["-DOLD_DRIVER"])):
        folders[name] = tmp_path_factory.mktemp(f"nvml-{name}")
        library = folders[name] / "libnvidia-ml.so.1"
        subprocess.run(
            [
                compiler,
                "-shared",
                "-fPIC",
                "-O1",
                "-Wl,-soname,libnvidia-ml.so.1",
                *flags,
                "-o",
                str(library),
                str(SOURCE),
            ],
            check=True,
        )
    return folders


@pytest.fixture(scope="session")
def neighbour() -> Iterator[int]:
    """A process that holds a GPU's memory, as far as the stand-in is concerned."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "train.py"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def run_python(standin: dict[str, Path], neighbour: int, tmp_path: Path) -> Command:
    """Run `python ARGUMENTS` on a named machine; `extra` joins the environment."""

    def run(machine: str, *arguments: str, library: str = "new", **extra: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in CLEARED}
        environment |= {
            "STANDIN_MACHINE": machine,
            "STANDIN_PID": str(neighbour),
            "LD_LIBRARY_PATH": str(standin[library]),
            "LORATUI_HOME": str(tmp_path),
        } | extra
        return subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=280
        )

    return run


@pytest.fixture
def detect(run_python: Command) -> Detect:
    """The Machine document of a named machine, as a process of its own finds it; asserts that nothing was on stderr."""

    def run(machine: str, *, library: str = "new", **extra: str) -> Machine:
        code = (
            "from loratui.machine.detect import detect_machine; from dataclasses import asdict; import json; "
            "print(json.dumps(asdict(detect_machine())))"
        )
        result = run_python(machine, "-c", code, library=library, **extra)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        return TypeAdapter(Machine).validate_python(json.loads(result.stdout))

    return run
