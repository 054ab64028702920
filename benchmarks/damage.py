"""Damage a run's files in every kind, call every command on each, and count what must not be.

    python benchmarks/damage.py [--only plan-cut] [--light | --wizard] [--save]

The kinds of `tests/runs/damage.py` are done to a run that was stopped, those of `tests/worker/damaged_world.py` to its
newest checkpoint, or to the result of the finished run. `resume` runs to its end and `chat` answers: both with a real
worker, on a run that was really trained.

Must not be: a traceback, "a defect of loratui", a call that hangs (over 5 s; where a worker starts, over 120 s), a
control character on the terminal, a write through a link, an ending without a word; after `resume` another adapter than
the undisturbed run's, or any but the newest whole checkpoint gone on from; in `chat` any but that answering. The wizard
opens its list of runs once with all of them in it, and the cursor rests on each. --light: without the workers.
--wizard: it alone. What is saved holds, of each command, the last time that it was called. Exit status 1 where
something was found.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

for folder in ("runs", "worker"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / folder))

if TYPE_CHECKING:
    from damage import Damage, Outcome
    from damaged_world import World

RESULTS = Path(__file__).parent / "results"
WORKER_SECONDS = 120.0
EVERYWHERE = ("runs", "attach --plain", "card", "resume", "chat")
"""Commands that are called on the trained run, too."""


@dataclass
class Count:
    """What was called, and what was wrong."""

    kinds: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds of the slowest call without a worker."""

    def fault(self, kind: str, name: str, fault: str, said: str = "") -> None:
        """Take up what must not be, and tell it."""
        self.faults.append(f"{kind} × {name}: {fault}")
        print(self.faults[-1], said[-400:], flush=True)


def main() -> int:
    """Do it and tell."""
    from damage import HEAVY, KINDS, LIGHT, stopped_run, wizard_faults

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="kinds, with commas between them")
    parser.add_argument("--light", action="store_true", help="without resume and chat, whose workers load torch")
    parser.add_argument("--wizard", action="store_true", help="no command, only the list of all the runs")
    parser.add_argument("--save", action="store_true", help="keep the counts in benchmarks/results/damage.json")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else []
    count, began = Count(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "home"
        stopped_run(base)
        together = Path(folder) / "together"
        (together / "runs").mkdir(parents=True)
        shutil.copytree(base / "state", together / "state")
        for kind, damage in KINDS.items():
            if only and kind not in only:
                continue
            for name, arguments in ({} if options.wizard else LIGHT).items():
                one_call(count, base, kind, damage, name, arguments)
            damage(shutil.copytree(base / "runs" / "run", together / "runs" / kind))
        if not options.light:
            trained(count, Path(folder), only, together, {} if options.wizard else {**LIGHT, **HEAVY})
        os.environ["LORATUI_HOME"] = str(together)
        count.calls["wizard"] += len(list((together / "runs").iterdir()))
        for one in asyncio.run(wizard_faults(300)):
            count.fault("wizard", "wizard", one)
    total = sum(count.calls.values())
    seconds = time.monotonic() - began
    print(
        f"{total} calls on {len(count.kinds)} kinds in {seconds:.0f} s; "
        f"the slowest without a worker: {count.slowest:.1f} s."
    )
    print(f"{len(count.faults)} of them ended as none may.")
    if options.save:
        path = RESULTS / "damage.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        called = kept.get("calls", {}) | dict(count.calls)
        others = [one for one in kept.get("faults", []) if one.split(" × ")[1].split(":")[0] not in count.calls]
        document = {
            "kinds": max(len(count.kinds), kept.get("kinds", 0)),
            "calls": called,
            "total": sum(called.values()),
            "slowest_seconds": round(count.slowest, 2) or kept.get("slowest_seconds"),
            "faults": others + count.faults,
            "date": time.strftime("%Y-%m-%d"),
        }
        path.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if count.faults else 0


def trained(count: Count, folder: Path, only: list[str], together: Path, calls: dict[str, list[str]]) -> None:
    """Every kind on the trained run: what needs its weights, and the rest once more."""
    from damage import HEAVY, KINDS
    from damaged_world import CHECKPOINT_KINDS, RESULT_KINDS, make_world
    from ready_workers import serve

    world = make_world(folder)
    commands = {name: calls[name] for name in EVERYWHERE if name in calls}
    groups = ((world.stopped, KINDS | CHECKPOINT_KINDS), (world.finished, RESULT_KINDS))
    with serve(folder) as python:
        for home, kinds in groups:
            for kind, damage in kinds.items():
                if only and kind not in only:
                    continue
                for name, arguments in commands.items():
                    if kind not in KINDS or name in HEAVY:
                        one_call(count, home, kind, damage, name, arguments, world, python)
                if kind not in KINDS:
                    damage(
                        shutil.copytree(
                            home / "runs" / "run", together / "runs" / kind.replace(": ", "-"), symlinks=True
                        )
                    )


def one_call(
    count: Count,
    base: Path,
    kind: str,
    damage: Damage,
    name: str,
    arguments: list[str],
    world: World | None = None,
    python: str = "",
) -> None:
    """One command on one kind, in a copy of the home `base`."""
    from damage import HANG_SECONDS, HEAVY, call, filled

    heavy = name in HEAVY
    home = base.with_name("one")
    shutil.copytree(base, home, symlinks=True)
    (home / "elsewhere" / "checkpoint-7").mkdir(parents=True)
    precious = [home / "precious.txt", home / "elsewhere" / "checkpoint-7" / "precious.txt"]
    for file in precious:
        file.write_text("precious\n")
    run = home / "runs" / "run"
    run = damage(run) or run
    outcome = call(
        home, filled(arguments, run, home / "out"), seconds=WORKER_SECONDS if heavy else HANG_SECONDS, python=python
    )
    count.kinds.add(kind)
    count.calls[name] += 1
    if not heavy:
        count.slowest = max(count.slowest, outcome.seconds)
    lost = [str(file) for file in precious if not file.exists() or file.read_text() != "precious\n"]
    fault = outcome.fault or (f"written through a link: {lost}" if lost else "")
    if not fault and world is not None and heavy:
        fault = wrong_end(world, run, kind, name, outcome)
    if fault:
        count.fault(kind, name, fault, outcome.out[-200:] + outcome.err)
    end_workers(home)
    shutil.rmtree(home)


def wrong_end(world: World, run: Path, kind: str, name: str, outcome: Outcome) -> str:
    """What `resume` or `chat` did otherwise than on a whole run, without a word; "" where nothing."""
    from damaged_world import CHECKPOINT_KINDS, RESULT_KINDS, silent_difference, wrong_answerer

    from loratui.runs.directory import Run

    if name == "chat":
        return wrong_answerer(kind, outcome.status, outcome.out, outcome.err)
    if (kind in CHECKPOINT_KINDS or kind in RESULT_KINDS) and outcome.status:
        return f"status {outcome.status}, although a whole checkpoint is there"
    return silent_difference(world, Run(run), outcome.out + outcome.err)


def end_workers(home: Path) -> None:
    """Stop what `resume` started, and wait until it is gone: its files are about to be removed."""
    from loratui.core.errors import LoratuiError
    from loratui.runs.control import stop_run, wait_ended
    from loratui.runs.listing import list_runs

    os.environ["LORATUI_HOME"] = str(home)
    for one in list_runs():
        if not one.status.over:
            with contextlib.suppress(LoratuiError):
                stop_run(one.run)
                wait_ended(one.run, WORKER_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
