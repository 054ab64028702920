"""The wheels that a card's machine lacks, in one folder of at most 64 MiB that travels with the repository.

    python benchmarks/gpu/wheels.py --rows alpaca.json            # into .gpu/: wheels, and the rows beside them
    python benchmarks/gpu/wheels.py --set unsloth --into .gpu-unsloth

For Python 3.12 on x86-64 with torch 2.11, transformers 5.17 and what came with them (`THERE`); anything else that the
program needs comes in the version of constraints.txt. bitsandbytes brings a library for every CUDA: only the one that
goes with torch's is kept (--cuda). The folder is ignored by git.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 64 * 2**20
REPOSITORY_BYTES = 14 * 2**20
"""Room left for the tree itself, which travels in the same 64 MiB."""

OWN = (
    "trl", "peft", "bitsandbytes", "datasets", "textual", "pydantic", "pydantic_core", "annotated-types",
    "typing-inspection", "typing_extensions", "click", "platformdirs", "psutil", "nvidia-ml-py", "rouge_score", "nltk",
    "markdown-it-py", "mdit-py-plugins", "linkify-it-py", "uc-micro-py", "rich", "Pygments", "dill", "multiprocess",
    "pyte", "wcwidth", "liger-kernel",
)  # fmt: skip
"""What the program and the campaign need beyond THERE."""
PUBLISHED_AS_SOURCE = ("rouge_score",)
"""Those that have no wheel: one of Python alone is built."""
UNSLOTH = (
    "unsloth", "unsloth_zoo", "trl==1.15.0", "datasets==4.8.4", "tyro", "docstring-parser", "typeguard", "hf-transfer",
    "diffusers", "cut-cross-entropy", "msgspec", "torchao", "json5", "nest-asyncio", "structlog",
    "peft", "bitsandbytes", "pydantic", "pydantic_core", "annotated-types", "typing-inspection", "typing_extensions",
    "dill", "multiprocess", "nvidia-ml-py", "platformdirs", "psutil", "click",
)  # fmt: skip
"""Unsloth 2026.10.9 allows TRL up to 1.15 and datasets below 5: it lives in a folder of its own. The newest xformers
(0.0.35) does not load with torch 2.11: it takes torch's attention."""
THERE = {
    "torch": "2.11.0",
    "transformers": "5.17.0",
    "accelerate": "1.15.0",
    "huggingface_hub": "1.33.0",
    "numpy": "2.5.2",
    "safetensors": "0.8.0",
    "tokenizers": "0.23.2",
    "triton": "3.6.0",
}
"""What the machine has (read there in November 2026). Beside it: pandas, pyarrow, Pillow, regex, Jinja2, PyYAML, tqdm,
xxhash, absl-py, aiohttp, fsspec, joblib, six, einops, sentencepiece, torchvision."""
PLATFORMS = ("2_28", "2_27", "2_26", "2_24", "2_17", "2014", "2010", "1")
CUDA_LIBRARY = re.compile(r"bitsandbytes/libbitsandbytes_(?!cpu)\w+\.so")


def constrained() -> dict[str, str]:
    """Versions of constraints.txt by name, as pip compares names."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {plain(name): version.strip() for name, version in pairs}


def plain(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(names: tuple[str, ...]) -> list[str]:
    """Each with its version: the one that is written with it, else that of constraints.txt, else the newest."""
    known = constrained()
    return [
        name if "==" in name else f"{name}=={known[plain(name)]}" if plain(name) in known else name for name in names
    ]


def download(requirements: list[str], into: Path) -> None:
    """Wheels for the card's machine; nothing of what they ask for besides."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp"]
    for glibc in PLATFORMS:
        tag = f"manylinux_{glibc}" if "_" in glibc else f"manylinux{glibc}"
        command += ["--platform", f"{tag}_x86_64"]
    built = [one for one in requirements if one.split("==")[0] in PUBLISHED_AS_SOURCE]
    chosen = [one for one in requirements if one not in built]
    subprocess.run([*command, "--dest", str(into), *chosen], check=True)
    if built:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(into)]
        subprocess.run([*command, *built], check=True)


def repack(wheel: Path, keep: Callable[[str], bool]) -> None:
    """The wheel with only the files that `keep` says, its list of files put right."""
    fresh = wheel.with_name(wheel.name + ".new")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        record = next(name for name in old.namelist() if name.endswith(".dist-info/RECORD"))
        lines = []
        for entry in old.infolist():
            if entry.filename == record or entry.is_dir() or not keep(entry.filename):
                continue
            data = old.read(entry)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{entry.filename},sha256={digest},{len(data)}")
            new.writestr(entry, data)
        new.writestr(record, "\n".join([*lines, f"{record},,"]) + "\n")
    fresh.replace(wheel)


def slim(folder: Path, cuda: str) -> None:
    """What no card's machine needs taken out: other CUDAs' libraries, Unsloth's studio."""
    own = f"libbitsandbytes_cuda{cuda.replace('.', '')}.so"
    for wheel in folder.glob("bitsandbytes-*.whl"):
        with zipfile.ZipFile(wheel) as read:
            if f"bitsandbytes/{own}" not in read.namelist():
                libraries = sorted(name for name in read.namelist() if CUDA_LIBRARY.match(name))
                raise SystemExit(f"bitsandbytes has no {own}. It has: {', '.join(libraries)}")
        repack(wheel, lambda name: not CUDA_LIBRARY.match(name) or name.endswith(own))
    for wheel in folder.glob("unsloth-*.whl"):
        repack(wheel, lambda name: not name.startswith("studio/"))


def conflicts(folder: Path) -> Iterator[str]:
    """What a wheel of the folder asks for and would not find in the right version."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name, parse_wheel_filename

    here = {name: str(version) for name, version, _, _ in (parse_wheel_filename(one.name) for one in _wheels(folder))}
    known = {canonicalize_name(name): version for name, version in THERE.items()} | here
    marks = {"python_version": "3.12", "sys_platform": "linux", "platform_machine": "x86_64", "extra": ""}
    for wheel in _wheels(folder):
        with zipfile.ZipFile(wheel) as read:
            name = next(name for name in read.namelist() if name.endswith(".dist-info/METADATA"))
            lines = read.read(name).decode("utf-8", "replace").split("\n\n", 1)[0].splitlines()
        for line in lines:
            if not line.startswith("Requires-Dist: "):
                continue
            need = Requirement(line.removeprefix("Requires-Dist: "))
            version = known.get(canonicalize_name(need.name))
            if version is None or (need.marker and not need.marker.evaluate(marks)):
                continue
            if not need.specifier.contains(version, prereleases=True):
                yield f"{wheel.name.split('-')[0]} wants {need}, and {version} is there"


def _wheels(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.whl"))


def put_rows(source: Path, into: Path) -> int:
    """Alpaca's rows as one JSONL with instruction, input and output; how many."""
    text = source.read_text(encoding="utf-8")
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    with into.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({key: row.get(key, "") for key in ("instruction", "input", "output")}) + "\n")
    return len(rows)


def main(arguments: list[str] | None = None) -> int:
    """Make the folder, and print what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("own", "unsloth"), default="own", help="whose wheels")
    parser.add_argument("--into", type=Path, default=ROOT / ".gpu", help="folder; what is in it is replaced")
    parser.add_argument("--cuda", default="13.0", help="torch's CUDA on that machine: 13.0, or 12.8 (default 13.0)")
    parser.add_argument("--rows", type=Path, help="Alpaca rows (JSON or JSONL) to put beside them")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        fresh = Path(place)
        download(wanted(OWN if asked.set == "own" else UNSLOTH), fresh)
        slim(fresh, asked.cuda)
        for one in conflicts(fresh):
            print(f"! {one}")
        shutil.rmtree(asked.into, ignore_errors=True)
        asked.into.mkdir(parents=True)
        for wheel in _wheels(fresh):
            shutil.move(wheel, asked.into / wheel.name)
    total = 0
    for wheel in sorted(_wheels(asked.into), key=lambda one: -one.stat().st_size):
        total += wheel.stat().st_size
        print(f"{wheel.stat().st_size / 2**20:8.2f} MiB  {wheel.name}")
    if asked.rows:
        print(f"{put_rows(asked.rows, asked.into / 'rows.jsonl')} rows")
        total += (asked.into / "rows.jsonl").stat().st_size
    print(f"{total / 2**20:8.2f} MiB together")
    if total > LIMIT_BYTES - REPOSITORY_BYTES:
        print(f"That is more than {(LIMIT_BYTES - REPOSITORY_BYTES) / 2**20:.0f} MiB.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
