"""Damage a run's files in every kind of `tests/runs/damage.py`, call every command on each, and count what must not be.

    python benchmarks/damage.py [--only plan-cut] [--heavy] [--save]

Must not be: a traceback, "a defect of loratui", a call that hangs (over 5 s; where a worker starts, over 120 s), a
control character on the terminal, a write through a link. The wizard opens its list of runs once with all of them in
it, and the cursor rests on each. --heavy: `resume` and `chat` too, whose workers load torch. Exit status 1 where
something was found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "runs"))

RESULTS = Path(__file__).parent / "results"
WORKER_SECONDS = 120.0


def main() -> int:
    """Do it and tell."""
    from damage import HANG_SECONDS, HEAVY, KINDS, LIGHT, call, filled, stopped_run, wizard_faults

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="kinds, with commas between them")
    parser.add_argument("--heavy", action="store_true")
    parser.add_argument("--save", action="store_true", help="keep the counts in benchmarks/results/damage.json")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    faults: list[str] = []
    began, slowest = time.monotonic(), 0.0
    calls = {**LIGHT, **(HEAVY if options.heavy else {})}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "home"
        stopped_run(base)
        together = Path(folder) / "together"
        (together / "runs").mkdir(parents=True)
        shutil.copytree(base / "state", together / "state")
        for kind, damage in KINDS.items():
            if options.only and kind not in options.only.split(","):
                continue
            for name, arguments in calls.items():
                home = Path(folder) / "one"
                shutil.copytree(base, home, symlinks=True)
                (home / "elsewhere" / "checkpoint-7").mkdir(parents=True)
                precious = [home / "precious.txt", home / "elsewhere" / "checkpoint-7" / "precious.txt"]
                for file in precious:
                    file.write_text("precious\n")
                run = home / "runs" / "run"
                run = damage(run) or run
                outcome = call(
                    home,
                    filled(arguments, run, home / "out"),
                    seconds=WORKER_SECONDS if name in HEAVY else HANG_SECONDS,
                )
                counts[name] += 1
                if name not in HEAVY:
                    slowest = max(slowest, outcome.seconds)
                lost = [str(file) for file in precious if not file.exists() or file.read_text() != "precious\n"]
                if fault := outcome.fault or (f"written through a link: {lost}" if lost else ""):
                    faults.append(f"{kind} × {name}: {fault}")
                    print(
                        faults[-1],
                        outcome.err[-300:] if fault.startswith(("trace", "says", "status")) else "",
                        flush=True,
                    )
                end_workers(home)
                shutil.rmtree(home)
            again = shutil.copytree(base / "runs" / "run", together / "runs" / kind)
            damage(again)
        os.environ["LORATUI_HOME"] = str(together)
        found = asyncio.run(wizard_faults())
        counts["wizard"] += len(list((together / "runs").iterdir()))
        faults += found
        print(*found, sep="\n")
    total = sum(counts.values())
    seconds = time.monotonic() - began
    print(f"{total} calls on {len(KINDS)} kinds in {seconds:.0f} s; the slowest of the light ones: {slowest:.1f} s.")
    print(f"{len(faults)} of them ended as none may.")
    if options.save:
        document = {"kinds": len(KINDS), "calls": dict(counts), "slowest_seconds": round(slowest, 2), "faults": faults}
        (RESULTS / "damage.json").write_text(json.dumps(document, indent=1) + "\n")
    return 1 if faults else 0


def end_workers(home: Path) -> None:
    """Stop what `resume` started, and wait until it is gone: its files are about to be removed."""
    from loratui.core.errors import LoratuiError
    from loratui.runs.control import stop_run, wait_ended
    from loratui.runs.listing import list_runs

    os.environ["LORATUI_HOME"] = str(home)
    for one in list_runs():
        if not one.status.over:
            try:
                stop_run(one.run)
                wait_ended(one.run, WORKER_SECONDS)
            except LoratuiError:
                continue


if __name__ == "__main__":
    sys.exit(main())
