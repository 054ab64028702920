"""Libraries that stand in for NVIDIA's, so that torch's own CUDA build can be imported without them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import environment
import pytest

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")


def compile_library(source: str, library: Path, *options: str) -> None:
    text = library.with_suffix(".c")
    text.write_text(source)
    command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{library.name}", "-o", str(library), str(text), *options]
    subprocess.run(command, check=True)


def test_what_torch_links_to_is_there_again_with_its_versions(tmp_path: Path) -> None:
    site, real = tmp_path / "site", tmp_path / "libcublas.so.13"
    (site / "torch" / "lib").mkdir(parents=True)
    (site / "nvidia" / "cu13" / "lib").mkdir(parents=True)
    script = tmp_path / "versions"
    script.write_text("libcublas.so.13 { global: cublasCreate; };\n")
    compile_library("int cublasCreate(void) { return 0; }\n", real, f"-Wl,--version-script={script}")
    torch = site / "torch" / "lib" / "libtorch_cuda.so"
    compile_library("int cublasCreate(void); int create(void) { return cublasCreate(); }\n", torch, str(real))
    real.unlink()
    with pytest.raises(OSError, match="libcublas"):
        ctypes.CDLL(str(torch))
    assert environment.stand_in(site) == ["libcublas.so.13"]
    ctypes.CDLL(str(site / "nvidia" / "cu13" / "lib" / "libcublas.so.13"), ctypes.RTLD_GLOBAL)
    assert ctypes.CDLL(str(torch)).create() == 1, "the stand-in answers, with an error"


def test_torch_asks_pip_for_none_of_them(tmp_path: Path) -> None:
    told = tmp_path / f"torch-{environment.THERE['torch']}.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text(
        'Name: torch\nRequires-Dist: sympy>=1.13\nRequires-Dist: nvidia-cudnn-cu13==9.19; platform_system == "Linux"\n'
        "Requires-Dist: cuda-toolkit[cublas]==13.0.2\n\ntext\n"
    )
    environment.ask_for_no_libraries(tmp_path)
    assert told.read_text() == "Name: torch\nRequires-Dist: sympy>=1.13\n\ntext\n"
