"""A worker that trains nothing: it takes the run over as the real one does, is busy for a while or until it is told,
and says that it finished. Called with the real one's arguments.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.runs.directory import Run
from loratui.worker.training.journal import Journal

UNTIL_TOLD = "until told"
"""In a run's file `seconds`: it goes on until the file `may-end` is there."""


def main() -> int:
    run = Run(Path(sys.argv[-1]))
    try:
        journal = Journal(run)
    except LoratuiError:
        return 1
    journal.emit("started", pid=1, step=0, total_steps=4, device=os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    journal.emit("step", step=1, loss=1.0, memory_reserved=1 << 30, memory_peak=1 << 30)
    journal.state("running", total=4, eta_seconds=30.0)
    seconds, may_end = run.path / "seconds", run.path / "may-end"
    if seconds.exists() and seconds.read_text() == UNTIL_TOLD:
        while not may_end.exists():
            time.sleep(0.02)
    else:
        time.sleep(float(seconds.read_text()) if seconds.exists() else 0.5)
    journal.emit("finished", step=4, judged=True)
    journal.close("finished")
    return 0


if __name__ == "__main__":
    sys.exit(main())
