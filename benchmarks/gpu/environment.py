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
from dataclasses import dataclass, field
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


@dataclass
class Linked:
    """What libraries need of others. functions: what they lack, with the version that it must have ("" for none).
    versions: by version the library that has it."""

    libraries: set[str] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    """What they have themselves."""


def read(library: Path, found: Linked) -> None:
    """Add what one library needs (readelf and nm of binutils)."""

    def told(*command: str) -> str:
        return subprocess.run([*command, str(library)], capture_output=True, text=True, check=True).stdout

    found.libraries |= set(re.findall(r"NEEDED.*\[(.+)\]", told("readelf", "-dW")))
    file = ""
    for line in told("readelf", "-VW").splitlines():
        if match := re.search(r"File: (\S+)", line):
            file = match[1]
        elif (match := re.search(r"Name: (\S+)\s+Flags", line)) and file:
            found.versions[match[1]] = file
    for line in told("nm", "-D").splitlines():
        *_, kind, name = ["", "", *line.split()]
        name, _, version = name.replace("@@", "@").partition("@")
        if kind == "U":
            found.functions.add((name, version))
        else:
            found.own.add(name)


def stand_in(site: Path) -> list[str]:
    """Make the libraries that torch links to and that are not there; their names."""
    folder, places = site / "torch" / "lib", site / "nvidia" / "cu13" / "lib"
    found = Linked()
    libraries = sorted(folder.glob("*.so*"))
    for library in libraries:
        read(library, found)
    there = REAL | {library.name for library in libraries}
    missing = sorted(name for name in found.libraries - there if NVIDIA.match(name))
    for number, name in enumerate(missing):
        versioned = [(one, version) for one, version in found.functions if found.versions.get(version) == name]
        plain = [
            (one, "")
            for one, version in found.functions
            if number == 0 and not version and one not in found.own and (OF_NVIDIA.match(one) or "nvshmem" in one)
        ]
        compile_stand_in(places / name, versioned + plain)
    return missing


def compile_stand_in(library: Path, functions: list[tuple[str, str]]) -> None:
    """A library of that name whose functions all answer 1 (an error, as CUDA counts them)."""
    with tempfile.TemporaryDirectory() as place:
        source, script = Path(place) / "stand_in.c", Path(place) / "versions"
        names = sorted({name for name, _ in functions}) or ["nothing"]
        source.write_text("".join(f"int {name}(void) {{ return 1; }}\n" for name in names), encoding="utf-8")
        versions = sorted({version for _, version in functions if version})
        told = "".join(
            f"{version} {{ global: {' '.join(f'{name};' for name, own in functions if own == version)} }};\n"
            for version in versions
        )
        script.write_text(told, encoding="utf-8")
        options = [f"-Wl,--version-script={script}"] if versions else []
        command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{library.name}", *options, "-o", str(library)]
        subprocess.run([*command, str(source)], check=True)


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
