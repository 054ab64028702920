"""Checkpoints and results as a worker writes them, in the files' real formats and without torch; and what kinds of
damage may come to them.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from damage import DEEP, HOSTILE

from loratui.core.plan import Plan
from loratui.runs.checkpoints import MANIFEST, begin, seal
from loratui.runs.directory import Run
from loratui.runs.manifest import Pending
from loratui.runs.start import create_run

WEIGHTS = "adapter_model.safetensors"


def write_checkpoint(folder: Path, step: int, *, pending: Pending = "") -> Path:
    """A whole checkpoint of this step."""
    begin(folder)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        write_archive(folder / name)
    write_weights(folder / WEIGHTS, fill=step)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": []}, indent=2))
    seal(folder, step, pending=pending)
    return folder


def run_with_checkpoints(folder: Path) -> Run:
    """A run in this folder with whole checkpoints of steps 2 and 4."""
    run = create_run(Plan(), output=folder)
    for step in (2, 4):
        write_checkpoint(run.checkpoints_path / f"checkpoint-{step}", step)
    return run


def write_archive(path: Path) -> None:
    """What `torch.save` writes: an archive whose parts have checksums."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", bytes(range(256)) * 4)


def write_weights(path: Path, *, fill: int = 1) -> None:
    """A safetensors file of one tensor."""
    tensor = {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}
    header = json.dumps({"q_proj.lora_A.weight": tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes([fill % 256]) * 256)


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def emptied(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, 0)


def flipped(name: str) -> Callable[[Path], None]:
    def flip(folder: Path) -> None:
        path = folder / name
        data, later = bytearray(path.read_bytes()), path.stat().st_mtime_ns + 10**7
        data[-100] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(later, later))  # later by its time too, however coarse the disk's clock is

    return flip


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return replace


def old_style(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """As a loratui of before the manifests left it."""

    def changed(folder: Path) -> None:
        (folder / MANIFEST).unlink()
        change(folder)

    return changed


def linked(folder: Path) -> None:
    name = folder / "adapter_model.safetensors"
    name.rename(folder.parent / "elsewhere")
    name.symlink_to(folder.parent / "elsewhere")


def piped(folder: Path) -> None:
    (folder / "optimizer.pt").unlink()
    os.mkfifo(folder / "optimizer.pt")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("/tmp/loratui-a-pickle-was-executed",))


def pickled(folder: Path) -> None:
    (folder / "rng_state.pth").write_bytes(pickle.dumps(Trap()))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no optimizer": (without("optimizer.pt"), "optimizer.pt is missing"),
    "no state of chance": (without("rng_state.pth"), "rng_state.pth is missing"),
    "no schedule": (without("scheduler.pt"), "scheduler.pt is missing"),
    "no weights": (without("adapter_model.safetensors"), "adapter_model.safetensors is missing"),
    "no state": (without("trainer_state.json"), "trainer_state.json is missing"),
    "half an optimizer": (cut("optimizer.pt"), "optimizer.pt has"),
    "half the weights": (cut("adapter_model.safetensors"), "adapter_model.safetensors has"),
    "empty weights": (emptied("adapter_model.safetensors"), "has 0 bytes"),
    "a bit of the weights": (flipped("adapter_model.safetensors"), "adapter_model.safetensors is not what was written"),
    "a bit of the optimizer": (flipped("optimizer.pt"), "optimizer.pt is not what was written"),
    "another step": (replaced("trainer_state.json", '"global_step": 4', '"global_step": 3'), "not of step 4"),
    "a manifest of another step": (replaced(MANIFEST, '"step": 4', '"step": 2'), "is of step 2"),
    "half a manifest": (cut(MANIFEST), "manifest.json cannot be read"),
    "a name outside": (replaced(MANIFEST, '"optimizer.pt"', '"../../plan.toml"'), "a file outside"),
    "a link": (linked, "is no regular file"),
    "a pipe": (piped, "is no regular file"),
    "old, no optimizer": (old_style(without("optimizer.pt")), "the optimizer's state is missing"),
    "old, no state of chance": (old_style(without("rng_state.pth")), "the state of chance is missing"),
    "old, half the weights": (old_style(cut("adapter_model.safetensors")), "adapter_model.safetensors is cut off"),
    "old, a bit of the optimizer": (old_style(flipped("optimizer.pt")), "optimizer.pt "),
    "old, another step": (
        old_style(replaced("trainer_state.json", '"global_step": 4', '"global_step": 3')),
        "is of step 3",
    ),
    "old, a pickle that acts": (old_style(pickled), "rng_state.pth cannot be opened"),
}


def manifest_piped(folder: Path) -> None:
    """A named pipe in the manifest's place."""
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)


def listing(name: str) -> Callable[[Path], None]:
    """The manifest lists one more file, of this name."""

    def add(folder: Path) -> None:
        document = json.loads((folder / MANIFEST).read_text())
        document["files"][name] = {"size": 1, "sha256": HOSTILE}
        (folder / MANIFEST).write_text(json.dumps(document))

    return add


MANIFESTS: dict[str, Callable[[Path], None]] = {
    "a pipe for a manifest": manifest_piped,
    "a deep manifest": lambda folder: (folder / MANIFEST).write_text(DEEP) and None,
    "a manifest of another shape": lambda folder: (
        (folder / MANIFEST).write_text('{"files": [1], "step": "x"}') and None
    ),
    "an escape in a listed name": listing(HOSTILE),
    "a null in a listed name": listing("a\0b"),
    "an absolute listed name": listing("/etc/passwd"),
    "a device as a listed name": listing("../../../../../../dev/zero"),
}
