"""Piece 6: the card's memory taken by somebody else, for real: while a run starts, and in the middle of one.

A neighbour takes all but so much of the card; the run is a real one by its worker process. Kept is what the run told:
the `oom` event with its cause, what it advises, and whether the run that is given the first advice ends well beside the
same neighbour.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import card
from random_models import folder_of, provide
from speed import shown_rows

MODEL = "qwen3-4b"
STEPS = 40
NEIGHBOUR = (
    "import sys, torch\n"
    "free, total = torch.cuda.mem_get_info()\n"
    "left = int(sys.argv[1])\n"
    "held = []\n"
    "while (free := torch.cuda.mem_get_info()[0]) > left + 2**28:\n"
    "    held.append(torch.empty(min(2**30, free - left), dtype=torch.uint8, device='cuda'))\n"
    "print(sum(one.numel() for one in held), flush=True)\n"
    "sys.stdin.read()\n"
)
GIB = 2**30
LIMIT_SECONDS, STOPPING_SECONDS = 60.0, 15.0
"""Of one run, and of its end where it took longer."""


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """Three times: no neighbour, one before the start, one in the middle."""
    tiny = settings["rehearsal"]
    asked = {
        "name": MODEL,
        "tiny": tiny,
        "rows": settings["rows"],
        "steps": 4 if tiny else STEPS,
        "patience": settings["patience"],
    }
    if not provide(results, None, MODEL, settings):
        return
    alone = results.case("alone", 30, lambda: measure({**asked, "left": None, "at_step": 0}))
    peak = (alone or {}).get("memory_peak") or 16 * GIB
    for name, left, at_step in (
        ("neighbour before the start", round(peak * 0.5), 0),
        ("neighbour in the middle", round(peak * 0.05), 6),
    ):
        results.case(name, 45, lambda left=left, at_step=at_step: measure({**asked, "left": left, "at_step": at_step}))


@contextlib.contextmanager
def neighbour(left_bytes: int) -> Iterator[int]:
    """A process that leaves so much of the card free; yields the bytes that it took (0 where there is no card)."""
    if card.used_bytes() is None:
        yield 0
        return
    process = subprocess.Popen(
        [sys.executable, "-c", NEIGHBOUR, str(left_bytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline() or 0)
    finally:
        process.kill()
        process.wait()


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """One run, and where it failed the same again with the first advice, beside the same neighbour."""
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values

    with tempfile.TemporaryDirectory(prefix="loratui-full-") as name, contextlib.ExitStack() as beside:
        place = Path(name)
        number_format = "fp32" if card.used_bytes() is None else "bf16"
        plan = with_values(
            Plan(),
            {
                "model.id": str(folder_of(asked["name"])),
                "model.dtype": number_format,
                "training.precision": number_format,
                "dataset.path": str(shown_rows(asked["rows"], place)),
                "dataset.eval_fraction": 0.0,
                "training.batch_size": 2 if asked["tiny"] else 8,
                "training.accumulation": 1,
                "training.max_length": 64 if asked["tiny"] else 1024,
                "training.max_steps": asked["steps"],
                "saving.every_steps": 3,
            },
        )
        limit = LIMIT_SECONDS * asked["patience"]
        taken: list[int] = []

        def arrive() -> None:
            if asked["left"] is not None and not taken:
                taken.append(beside.enter_context(neighbour(asked["left"])))

        if asked["at_step"] == 0:
            arrive()
        found = follow(plan, place / "run", arrive if asked["at_step"] else None, asked["at_step"], limit)
        found["neighbour_bytes"] = sum(taken)
        fixes = (found.get("oom") or {}).get("fixes") or []
        found["fixes"] = fixes
        if fixes:
            change = {key: value for key, value in fixes[0]["change"].items() if not isinstance(value, dict)}
            found["with the first advice"] = follow(with_values(plan, change), place / "again", None, 0, limit)
        return found


def end(run: Any) -> None:
    """Stop a run that takes too long, and see that it holds no memory any more."""
    from loratui.core.errors import RunError
    from loratui.runs.control import stop_run, wait_ended

    pid = run.status().pid
    with contextlib.suppress(RunError):
        stop_run(run)
    if not wait_ended(run, STOPPING_SECONDS).over and pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def follow(plan: Any, place: Path, arrive: Any, at_step: int, seconds: float) -> dict[str, Any]:
    """Start a run by its worker, let the neighbour arrive at that step, and tell how it ended."""
    from loratui.runs.events import EventTail
    from loratui.runs.start import create_run, start_worker

    run = create_run(plan, output=place)
    start_worker(run)
    tail, events = EventTail(run.events_path), []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        events += tail.new_events()
        if arrive is not None and any(one.kind == "step" and one.step >= at_step for one in events):
            arrive()
            arrive = None
        if run.status().over:
            break
        time.sleep(0.1)
    else:
        end(run)
    events += tail.new_events()
    status = run.status()
    full = next((one for one in events if one.kind == "oom"), None)
    peaks = [one.memory_peak or 0 for one in events if one.kind == "step"]
    return {
        "state": status.state,
        "message": status.message,
        "steps": sum(one.kind == "step" for one in events),
        "memory_peak": max(peaks, default=0),
        "oom": full.model_dump() if full else None,
        "findings": [one.message for one in events if one.kind == "finding"],
        "log": "" if status.state == "finished" else run.log_path.read_text(encoding="utf-8", errors="replace")[-800:],
    }
