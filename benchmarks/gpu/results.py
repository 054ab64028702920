"""What a piece of the campaign leaves: one JSON file, whole after every case, so that no time limit loses anything."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "bitsandbytes",
    "datasets",
    "textual",
    "triton",
    "liger-kernel",
    "flash-attn",
    "unsloth",
)
DETAIL = 4000
"""Characters of an error that are kept: a screen stands in some."""
Measure = Callable[[], dict[str, Any]]


class Results:
    """The cases of one piece, and how much of its time is left.

    A file of the same card that is there already is gone on with: a case that was measured is not measured again, one
    that failed or found no time is.
    """

    def __init__(self, path: Path, piece: str, limit_seconds: float, *, rehearsal: bool) -> None:
        self.path, self.began, self.limit = path, time.monotonic(), limit_seconds
        self.document: dict[str, Any] = {"piece": piece, "rehearsal": rehearsal, "cases": {}}
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            same = before.get("card", {}).get("name") == card().get("name")
            if same and before.get("piece") == piece and before.get("rehearsal") == rehearsal:
                self.document = before
        self.document |= {
            "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "versions": versions(),
            "card": card(),
        }
        self._write()

    @property
    def cases(self) -> dict[str, Any]:
        """What was found, by case."""
        found: dict[str, Any] = self.document["cases"]
        return found

    def left(self) -> float:
        """Seconds until the piece's limit."""
        return self.limit - (time.monotonic() - self.began)

    def has(self, name: str) -> bool:
        """Whether a case was measured, here or by an earlier call."""
        return name in self.cases and not {"problem", "skipped"} & self.cases[name].keys()

    def case(self, name: str, expected_seconds: float, measure: Measure) -> dict[str, Any] | None:
        """Measure one case, unless it was, or its time does not fit into what is left. What goes wrong is its result.

        expected_seconds: worked out beforehand, and kept beside what it took.
        """
        if self.has(name):
            return self.cases[name]
        found: dict[str, Any]
        if expected_seconds > self.left():
            found = {"skipped": f"{expected_seconds:.0f} s are needed and {max(0, self.left()):.0f} s are left"}
        else:
            began = time.monotonic()
            try:
                found = measure()
            except Exception as error:  # noqa: BLE001 - whatever a case does, the next one is measured
                found = {"problem": one_line(error), "detail": str(error)[-DETAIL:]}
            found["seconds"] = round(time.monotonic() - began, 2)
        found["expected_seconds"] = round(expected_seconds, 1)
        self.cases[name] = found
        self._write()
        said = found.get("skipped") or found.get("problem") or "done"
        print(f"{self.document['piece']}: {name}: {said} ({found.get('seconds', 0):.1f} s)", flush=True)
        return found if self.has(name) else None

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(json.dumps(self.document, indent=1, default=str) + "\n", encoding="utf-8")
        fresh.replace(self.path)


def one_line(error: BaseException) -> str:
    """An error in one line, its kind before it."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:400]}"


def versions() -> dict[str, str]:
    """The installed ones of the packages that decide a figure."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def card() -> dict[str, Any]:
    """Name, memory and driver of the first card by NVML; the processor where there is none. No CUDA context is made."""
    from loratui.machine.detect import detect_machine

    machine = detect_machine()
    if not machine.gpus:
        return {"name": machine.host.cpu_name, "kind": "cpu", "memory_bytes": machine.host.memory_total_bytes}
    gpu = machine.gpus[0]
    return {
        "name": gpu.name,
        "kind": "gpu",
        "memory_bytes": gpu.memory_total_bytes,
        "driver": machine.driver_version,
        "cuda": machine.cuda_version,
        "compute_capability": gpu.compute_capability,
    }
