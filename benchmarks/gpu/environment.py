"""An environment like that of the card's machine, on one without a card: Python 3.12, its torch, its transformers.

    python benchmarks/gpu/environment.py FOLDER [--python python3.12]      # after wheels.py; 0.6 GB to download

torch's wheel is the very one of that machine (its CUDA build). The 2.5 GB of NVIDIA's libraries that it links to are
left out: libraries of the same names stand in for them, whose functions all fail, and which nothing calls on a
processor. CUDA's small runtime is the real one. Needs gcc, nm and readelf. Then:

    FOLDER/bin/python benchmarks/gpu/campaign.py --rows .gpu/rows.jsonl --out /tmp/out --rehearse
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from wheels import ROOT, THERE

BESIDE = (
    "pandas", "pyarrow", "pillow", "regex", "jinja2", "pyyaml", "tqdm", "xxhash", "absl-py", "aiohttp", "fsspec",
    "joblib", "six", "psutil", "sympy", "networkx", "filelock", "setuptools<82", "pygments", "sentencepiece",
)  # fmt: skip
"""What else is there, as far as the program needs it."""
RUNTIME = "nvidia-cuda-runtime==13.0.96"
NVIDIA = re.compile(r"lib(cu|nv|nccl)")
OF_NVIDIA = re.compile(r"^(cublas|cudnn|cufft|cusparse|cusolver|curand|p?nccl|cuFile|nvrtc|nvshmem|nvJit|cupti)")
REAL = {"libcudart.so.13", "libcuda.so.1"}
"""The one is installed; the other is the driver's, and its absence says that there is no card."""


def install(python: Path, *arguments: str) -> None:
    """pip, without a word."""
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *arguments], check=True)


def ask_for_no_libraries(site: Path) -> None:
    """torch's wheel no longer says that it needs NVIDIA's: pip would fetch them with whatever needs torch."""
    told = site / f"torch-{THERE['torch']}.dist-info" / "METADATA"
    lines = told.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not re.match(r"Requires-Dist: (nvidia|cuda)", line)]
    told.write_text("".join(kept), encoding="utf-8")


def linked(library: Path) -> tuple[set[str], set[str], set[str]]:
    """Names of the libraries that one needs, of the functions that it lacks, and of those that it has."""
    dynamic = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True).stdout
    needs = set(re.findall(r"NEEDED.*\[(.+)\]", dynamic))
    lacks, has = set(), set()
    for line in subprocess.run(["nm", "-D", str(library)], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    ):
        parts = line.split()
        if len(parts) >= 2:
            (lacks if parts[-2] == "U" else has).add(parts[-1].split("@")[0])
    return needs, lacks, has


def stand_in(site: Path) -> list[str]:
    """Make the libraries that torch links to and that are not there; their names."""
    folder, places = site / "torch" / "lib", site / "nvidia" / "cu13" / "lib"
    libraries = sorted(folder.glob("*.so*"))
    needs: set[str] = set()
    lacks: set[str] = set()
    has: set[str] = set()
    for library in libraries:
        own = linked(library)
        needs, lacks, has = needs | own[0], lacks | own[1], has | own[2]
    missing = sorted(name for name in needs - REAL - {library.name for library in libraries} if NVIDIA.match(name))
    functions = sorted(name for name in lacks - has if OF_NVIDIA.match(name) or "nvshmem" in name)
    with tempfile.TemporaryDirectory() as place:
        for number, name in enumerate(missing):
            source = Path(place) / "stand_in.c"
            body = "".join(f"int {one}(void) {{ return 1; }}\n" for one in functions) if number == 0 else "int none;\n"
            source.write_text(body, encoding="utf-8")
            command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", "-o", str(places / name), str(source)]
            subprocess.run(command, check=True)
    return missing


def main(arguments: list[str] | None = None) -> int:
    """Make it, and say what torch says of itself there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="python3.12")
    parser.add_argument("--wheels", type=Path, default=ROOT / ".gpu", help="folder that wheels.py made")
    asked = parser.parse_args(arguments)
    if not list(asked.wheels.glob("*.whl")):
        parser.error(f"{asked.wheels} holds no wheels: call wheels.py first")
    subprocess.run([asked.python, "-m", "venv", str(asked.folder)], check=True)
    python = asked.folder.absolute() / "bin" / "python"
    install(python, "--upgrade", "pip")
    install(python, "--no-deps", f"torch=={THERE['torch']}", RUNTIME)
    site = Path(
        subprocess.run(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    ask_for_no_libraries(site)
    install(python, "--no-deps", f"triton=={THERE['triton']}")
    install(python, *(f"{name}=={version}" for name, version in THERE.items() if name != "torch"), *BESIDE)
    install(python, "--no-index", "--no-deps", *map(str, asked.wheels.glob("*.whl")))
    print("stand-ins:", ", ".join(stand_in(site)))
    return subprocess.run(
        [str(python), "-c", "import sys, torch, transformers; print(sys.version.split()[0], torch.__version__, "
         "transformers.__version__, 'card' if torch.cuda.is_available() else 'no card')"],
        check=False,
    ).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
