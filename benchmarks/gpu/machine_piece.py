"""Piece 1: what the program says of the machine, held against nvidia-smi; the machine screen; what watching costs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SIZE = (120, 36)
HELD_BYTES = 2**30
"""What a process of ours takes, to be found by."""
HOLDER = (
    "import sys, time, torch\n"
    "held = torch.ones({size}, dtype=torch.uint8, device='cuda')\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()\n"
)
ASKED = "name,driver_version,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw"


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """All of it, the cheapest first."""
    quick = settings["rehearsal"]
    sampling = (str(HERE.parent / "machine_idle.py"), "--seconds", "2" if quick else "10")
    painting = (str(HERE.parent / "interface.py"), "--runs", "1" if quick else "3", "--json")
    cases = (
        ("machine", 5, lambda: {"told": json.loads(command("-m", "loratui", "machine", "--json")["out"])}),
        ("nvml and nvidia-smi", 5, beside_smi),
        ("own process", 20, own_process),
        ("doctor", 30, lambda: command("-m", "loratui", "doctor")),
        ("screen", 12, screen),
        ("sampling", 15, lambda: command(*sampling)),
        ("first paint", 45, lambda: command(*painting)),
    )
    for name, seconds, measure in cases[: settings["cases"] or None]:
        results.case(name, seconds, measure)


def command(*arguments: str, seconds: float = 240) -> dict[str, Any]:
    """What a Python of ours prints, and its status."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=seconds)
    return {
        "status": done.returncode,
        "out": done.stdout.strip()[-20000:],
        "error": done.stderr.strip()[-2000:],
        "took": round(time.monotonic() - began, 2),
    }


def smi(query: str) -> list[list[str]]:
    """Rows of nvidia-smi's answer; RuntimeError where it is not there."""
    if shutil.which("nvidia-smi") is None:
        raise RuntimeError("nvidia-smi is not installed here")
    done = subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip()[:300])
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.strip().splitlines()]


def beside_smi() -> dict[str, Any]:
    """Each figure of the first card by both, and by how much they differ."""
    from loratui.machine.detect import detect_machine

    machine = detect_machine()
    if not machine.gpus:
        return {"gpus": 0, "driver": machine.driver, "problems": machine.problems}
    theirs = dict(zip(ASKED.split(","), smi(f"--query-gpu={ASKED}")[0], strict=True))
    gpu = machine.gpus[0]
    ours = {
        "name": gpu.name,
        "driver_version": machine.driver_version,
        "memory.total": gpu.memory_total_bytes / 2**20,
        "memory.used": gpu.memory_used_bytes / 2**20,
        "utilization.gpu": gpu.utilization_percent,
        "temperature.gpu": gpu.temperature_celsius,
        "power.draw": gpu.power_watts,
    }
    return {"gpus": len(machine.gpus), "nvidia_smi": theirs, "nvml": ours}


def own_process() -> dict[str, Any]:
    """Whether a process of ours that holds a gibibyte is found by its id, with what it holds."""
    from loratui.machine.detect import detect_machine

    if not detect_machine().gpus:
        return {"gpus": 0}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(size=HELD_BYTES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        gpu = detect_machine().gpus[0]
        told = [vars(one) if hasattr(one, "__dict__") else str(one) for one in gpu.processes or ()]
        found = next((one for one in gpu.processes or () if one.pid == holder.pid), None)
        return {
            "pid": holder.pid,
            "found": found is not None,
            "held_bytes": found.memory_bytes if found else None,
            "processes": told,
            "nvidia_smi": smi("--query-compute-apps=pid,used_memory"),
        }
    finally:
        holder.kill()
        holder.wait()


def screen() -> dict[str, Any]:
    """The machine screen as a picture (SVG), with this machine's live figures."""
    from loratui.paths import state_home
    from loratui.tui.app import LoratuiApp
    from loratui.tui.wizard.state import WizardState

    os.environ.setdefault("COLORTERM", "truecolor")

    async def paint() -> str:
        app = LoratuiApp(screen="machine", state=WizardState(state_home() / "gpu-draft.json"))
        async with app.run_test(size=SIZE) as pilot:
            for _ in range(10):
                await pilot.pause()
                await asyncio.sleep(0.3)
            return str(app.export_screenshot(title="loratui", simplify=True))

    return {"svg": asyncio.run(paint())}
