"""The campaign on a card: everything that rests on one, measured piece by piece. `README.md` beside this file.

    python benchmarks/gpu/campaign.py --rows rows.jsonl                      # every piece, the most valuable first
    python benchmarks/gpu/campaign.py --rows rows.jsonl --pieces memory      # one piece
    python benchmarks/gpu/campaign.py --rows rows.jsonl --rehearse           # the same code on the processor, tiny
    python benchmarks/gpu/campaign.py --plan                                 # what it would measure, and how long

Each piece is a process with a time limit of its own and leaves one JSON file; what goes wrong in one never stops the
next. Called again it goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE)]
RESULTS = HERE.parent / "results" / "gpu"
GRACE_SECONDS = 5.0
"""After a piece's limit, before it is ended with all that it started."""


MARK = "LORATUI_GPU_PIECE"
"""Variable by which the processes of a piece are known."""


@dataclass(frozen=True)
class Piece:
    """One part of the campaign. seconds: its limit on a card. module: of this folder, with `run`. forks: whether its
    cases are functions in processes of their own."""

    name: str
    seconds: float
    what: str
    module: str
    forks: bool = True


PIECES = (
    Piece("machine", 60, "doctor, machine, its screen, NVML beside nvidia-smi", "machine_piece", forks=False),
    Piece("memory", 470, "60 real trainings: predicted, allocated, reserved, the driver's figure", "memory"),
    Piece("speed", 470, "content tokens a second beside TRL's defaults, its fastest, and our settings in TRL", "speed"),
    Piece("unsloth", 150, "the same beside Unsloth", "against_unsloth"),
    Piece(
        "wizard", 240, "the demo, and a 4B run by the wizard: killed, resumed, merged, asked", "by_wizard", forks=False
    ),
    Piece("full", 120, "a neighbour takes the memory: what is told, and what helps", "full_memory", forks=False),
    Piece(
        "kernels", 160, "float16 with a scaler, 8-bit and paged optimizers, 4-bit and flash kernels", "kernel_trainings"
    ),
    Piece("decoding", 90, "the playground beside plain generate", "decoding"),
)
"""In the order of what they are worth."""
REHEARSAL_SECONDS, REHEARSAL_ROWS, REHEARSAL_PATIENCE = 1800.0, 64, 6.0
"""In the rehearsal: a piece's limit, rows that are read, and by what cases may take longer."""


def main(arguments: list[str] | None = None) -> int:
    """Run the pieces, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", default=",".join(piece.name for piece in PIECES), metavar="NAME[:SECONDS],…")
    parser.add_argument("--rows", type=Path, help="JSONL with instruction, input and output: Alpaca's, cleaned")
    parser.add_argument("--out", type=Path, help=f"folder of the results; else $OUT, else {RESULTS}")
    parser.add_argument("--limit", type=float, default=540, metavar="SECONDS", help="of this call, all pieces together")
    parser.add_argument("--cases", type=int, default=0, help="only so many of each piece")
    parser.add_argument("--rehearse", action="store_true", help="tiny models: to see that everything runs")
    parser.add_argument("--plan", action="store_true", help="only say what would be measured")
    parser.add_argument("--here", metavar="PIECE", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.plan:
        return describe()
    if asked.rows is None:
        parser.error("--rows is needed: `wheels.py` puts them beside the wheels")
    try:
        pieces = chosen(asked.pieces)
    except ValueError as error:
        parser.error(str(error))
    out = (asked.out or Path(os.environ.get("OUT") or RESULTS)).resolve()
    if asked.here:
        return perform(asked.here, out, asked)
    return run_all(pieces, out, asked)


def chosen(text: str) -> list[Piece]:
    """Pieces by name, in the order given; `memory:300` gives one another limit. ValueError where there is none such."""
    known = {piece.name: piece for piece in PIECES}
    found = []
    for word in filter(None, text.split(",")):
        name, _, seconds = word.partition(":")
        if name not in known or (seconds and not seconds.isdigit()):
            raise ValueError(f"there is no piece {word!r}: {', '.join(known)}, each with :SECONDS if wanted")
        found.append(replace(known[name], seconds=float(seconds)) if seconds else known[name])
    return found


def run_all(pieces: list[Piece], out: Path, asked: argparse.Namespace) -> int:
    """Each piece as a process; 0 where all of them came to their end."""
    until = time.monotonic() + (len(pieces) * REHEARSAL_SECONDS if asked.rehearse else asked.limit)
    worst = 0
    for piece in pieces:
        left = until - time.monotonic() - GRACE_SECONDS
        limit = min(REHEARSAL_SECONDS if asked.rehearse else piece.seconds, left)
        if limit < 15:
            print(f"{piece.name}: no time is left in this call", flush=True)
            continue
        command = [sys.executable, str(HERE / "campaign.py"), "--here", piece.name, "--rows", str(asked.rows.resolve())]
        command += ["--out", str(out), "--limit", f"{limit:.0f}", "--cases", str(asked.cases)]
        command += ["--rehearse"] if asked.rehearse else []
        print(f"== {piece.name}: {piece.what} (at most {limit:.0f} s)", flush=True)
        began = time.monotonic()
        status = ended(command, limit + GRACE_SECONDS)
        print(f"== {piece.name}: status {status}, {time.monotonic() - began:.0f} s", flush=True)
        worst = worst or (1 if status else 0)
    return worst


def ended(command: list[str], seconds: float) -> int:
    """Status of a process that is ended once its time is over; nothing that it started outlives it and keeps memory."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    child = subprocess.Popen(command, start_new_session=True, env=environment() | {MARK: mark})
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return 124
    finally:
        end_marked(mark)
        child.wait()


def end_marked(mark: str) -> None:
    """End every process whose environment has this mark: those in sessions of their own too, as workers are."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                process.kill()


def environment() -> dict[str, str]:
    """A worker's, with the program and this folder to be found, and no look-ups on a network."""
    from loratui.core.plan import Plan
    from loratui.runs.start import worker_environment

    own = [str(ROOT / "src"), str(HERE), str(HERE.parent)]
    path = os.pathsep.join([*own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    home = os.environ.get("LORATUI_HOME") or str(Path(os.environ.get("TMPDIR", "/tmp")) / "loratui-gpu" / "home")
    return worker_environment(Plan()) | {
        "PYTHONPATH": path,
        "LORATUI_HOME": home,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
    }


def perform(name: str, out: Path, asked: argparse.Namespace) -> int:
    """One piece, in this process."""
    from results import Results

    piece = next(piece for piece in PIECES if piece.name == name)
    file = out / f"{name}.json"
    if not file.exists() and (RESULTS / file.name).exists() and not asked.rehearse:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(RESULTS / file.name, file)  # what an earlier call brought back is gone on with
    results = Results(file, name, asked.limit, rehearsal=asked.rehearse)
    rows = _few(asked.rows) if asked.rehearse else asked.rows
    settings: dict[str, Any] = {"rows": str(rows), "rehearsal": asked.rehearse, "cases": asked.cases}
    settings["patience"] = REHEARSAL_PATIENCE if asked.rehearse else 1.0
    processes = None
    if piece.forks:
        from own_processes import Processes

        processes = Processes(settings["patience"])
    importlib.import_module(piece.module).run(results, processes, settings)
    failed = [case for case in results.cases if not results.has(case)]
    print(json.dumps({"piece": name, "cases": len(results.cases), "without a figure": failed}), flush=True)
    return 0


def _few(rows: Path) -> Path:
    """The first rows, for a rehearsal."""
    few = Path(os.environ.get("TMPDIR", "/tmp")) / "loratui-gpu" / "few.jsonl"
    few.parent.mkdir(parents=True, exist_ok=True)
    few.write_text("".join(rows.read_text(encoding="utf-8").splitlines(keepends=True)[:REHEARSAL_ROWS]), "utf-8")
    return few


def describe() -> int:
    """What there is to measure, and how long at most."""
    for piece in PIECES:
        print(f"{piece.name:<10} {piece.seconds:>5.0f} s  {piece.what}")
    print(f"{'together':<10} {sum(piece.seconds for piece in PIECES):>5.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
