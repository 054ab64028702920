"""What a long history costs its readers: peak memory and seconds of a processor, of each in a process of its own.

    python benchmarks/long_run.py [--events 5000000] [--keep FOLDER]

The history is of that many steps with an evaluation and a checkpoint at every 10,000th. Aim: no reader takes over
200 MiB, however many events there are, and `attach --plain` says the end within two seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READERS = {
    "card": "from loratui.cli import main; sys.argv = ['loratui', 'card', sys.argv[1]]; main()",
    "attach --plain": "from loratui.cli import main; sys.argv = ['loratui', 'attach', '--plain', sys.argv[1]]; main()",
    "monitor": (
        "from loratui.tui.training.follow import follow; one = follow(sys.argv[1])\nwhile not one.whole: one.poll()"
    ),
    "what resume looks at": (
        "from loratui.runs.directory import Run; from loratui.runs.course import read_course, sound_until\n"
        "run = Run(__import__('pathlib').Path(sys.argv[1])); course = read_course(run)\n"
        "sound_until(course, precision='bf16')"
    ),
}
MEASURED = """
import atexit, resource, sys
def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{used.ru_maxrss // 1024} {used.ru_utime + used.ru_stime:.1f}", file=sys.stderr)
atexit.register(tell)
"""


def write_run(run: Path, events: int) -> None:
    """A finished run with so many steps."""
    from loratui.core.plan import Plan
    from loratui.core.plan_text import plan_to_toml
    from loratui.runs.events import encode, make

    run.mkdir(parents=True)
    (run / "plan.toml").write_text(plan_to_toml(Plan()), encoding="utf-8")
    (run / "status.json").write_text(json.dumps({"state": "finished", "step": events, "total": events}))
    step = encode(
        make(
            "step",
            1.0,
            step=999_999_999,
            epoch=1.5,
            loss=1.25,
            learning_rate=1e-4,
            grad_norm=0.5,
            tokens=1,
            tokens_per_second=9.0,
            seconds=0.5,
            eta=5.0,
        )
    )
    evaluation = encode(make("eval", 1.0, step=999_999_999, loss=1.5, rows=10))
    saved = encode(make("checkpoint", 1.0, step=999_999_999, path="checkpoints/checkpoint-999999999"))
    with (run / "events.jsonl").open("w", encoding="utf-8") as file:
        file.write(encode(make("started", 1.0, total_steps=events)) + "\n")
        for number in range(1, events + 1):
            file.write(step.replace("999999999", str(number)) + "\n")
            if number % 10_000 == 0:
                file.write(evaluation.replace("999999999", str(number)) + "\n")
                file.write(saved.replace("999999999", str(number)) + "\n")
        file.write(encode(make("finished", 2.0, step=events, seconds=9.0, result="adapter")) + "\n")


def measured(reader: str, run: Path) -> tuple[int, float]:
    """Peak MiB and a processor's seconds of one reader."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED + READERS[reader], str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    peak, seconds = done.stderr.split()[-2:]
    return int(peak), float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--keep", type=Path, help="where the history is kept, and taken from where it is there already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LORATUI_HOME"] = folder
        run = (options.keep or Path(folder)) / f"run-{options.events}"
        if not run.exists():
            write_run(run, options.events)
        size = (run / "events.jsonl").stat().st_size
        print(f"{options.events:,} steps, {size / 2**30:.2f} GiB, {time.strftime('%Y-%m-%d')}")
        for reader in READERS:
            peak, seconds = measured(reader, run)
            print(f"{reader:22} {peak:6,} MiB {seconds:8.1f} s", flush=True)


if __name__ == "__main__":
    main()
