"""What watching a run costs: a million steps opened and drawn, and a running training followed in a terminal.

    python benchmarks/monitor.py [--seconds 20]

Prints the seconds until a run of 1,000,000 steps is known whole to the monitor (the aim is below 1) and the
milliseconds of drawing its charts for 120 × 36 (below 30); then, for the demo's training on this machine, the bytes a
second that the monitor writes to its terminal (below 4,096) and its share of one core (below 3 %).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

import psutil

STEPS = 1_000_000


def opened(folder: Path) -> dict[str, float]:
    """A recorded run of a million steps: opening and drawing it."""
    from loratui.runs.events import encode, make
    from loratui.tui.training.chart import draw
    from loratui.tui.training.curves import loss_picture
    from loratui.tui.training.follow import follow

    run = folder / "long"
    run.mkdir()
    (run / "plan.toml").write_text("version = 1\n", encoding="utf-8")
    step = encode(
        make(
            "step",
            1.0,
            step=999_999_999,
            loss=1.25,
            learning_rate=1e-4,
            grad_norm=0.5,
            tokens=1,
            tokens_per_second=9.0,
            eta=5.0,
        )
    )
    with (run / "events.jsonl").open("w", encoding="utf-8") as file:
        file.write(encode(make("started", 1.0, total_steps=STEPS)) + "\n")
        for number in range(1, STEPS + 1):
            file.write(
                step.replace("999999999", str(number)).replace("1.25", f"{1 + 1 / (1 + number / 1e5):.6f}") + "\n"
            )
    followed = follow(str(run))
    began = time.perf_counter()
    while not followed.whole:
        followed.poll()
    seconds = time.perf_counter() - began
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        draw(loss_picture(followed.record), 82, 16)
        taken.append((time.perf_counter() - began) * 1e3)
    return {
        "open_seconds": round(seconds, 3),
        "draw_ms": round(statistics.median(taken), 2),
        "draw_ms_worst": round(max(taken), 2),
    }


def watched(folder: Path, seconds: float) -> dict[str, float]:
    """The demo's training, followed in a terminal of 120 × 36."""
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values
    from loratui.runs.start import create_run, start_worker, wait_started

    plan = with_values(
        Plan(),
        {
            "model.id": "demo",
            "dataset.path": "demo",
            "model.dtype": "fp32",
            "training.precision": "fp32",
            "hardware.cpu": True,
            "training.batch_size": 16,
            "training.epochs": 200.0,
            "evaluation.every_steps": 0,
            "saving.every_steps": 500,
        },
    )
    run = create_run(plan, output=folder / "watched")
    wait_started(run, 120, pid=start_worker(run))
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "loratui", "attach", str(run.path)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    try:
        _read(terminal, 5.0)
        process = psutil.Process(pid)
        before, began = process.cpu_times(), time.perf_counter()
        written = _read(terminal, seconds)
        after, took = process.cpu_times(), time.perf_counter() - began
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.kill(run.status().pid, 9)
    used = after.user + after.system - before.user - before.system
    return {
        "bytes_per_second": round(written / took),
        "core_share": round(used / took, 4),
        "steps_watched": run.events_path.read_bytes().count(b'"type":"step"'),
    }


def _read(terminal: int, seconds: float) -> int:
    """Take everything that is written for so long; its bytes."""
    count, until = 0, time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        if select.select([terminal], [], [], left)[0]:
            count += len(os.read(terminal, 65536))
    return count


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LORATUI_HOME"] = folder
        print(json.dumps(opened(Path(folder)) | watched(Path(folder), options.seconds), indent=1))


if __name__ == "__main__":
    main()
