"""Mending a failed run unattended: the failure's first fix goes into the plan, and this process begins anew.

The same process id goes on with a fresh interpreter, so that nothing of what failed (a full GPU, a poisoned optimizer) is
left, and whoever watches sees one run.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.files import write_whole
from loratui.runs.changing import keep_plan
from loratui.runs.directory import Run
from loratui.runs.recovery import allow, left
from loratui.worker.training.journal import Journal

log = logging.getLogger("loratui")


def first_fix(fixes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The change of the gentlest fix that fits by the estimate, of any where none does; empty where there is none.

    One that loses rows, or trains something else, waits for a person.
    """
    may = [fix for fix in fixes if fix.get("unattended", True)]
    ranked = [fix for fix in may if fix.get("fits", True)] or may
    return dict(ranked[0].get("change", {})) if ranked else {}


def recover(run: Run, journal: Journal, fix: Mapping[str, Any], why: str) -> None:
    """Apply the fix and begin anew; returns only where that is not allowed, or not possible.

    A run of several processes is left to its launcher: one of them cannot begin anew alone.
    """
    times = left(run)
    if not fix or not times or not journal.writes or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return
    try:
        before = run.plan()
        plan = with_values(before, fix)
        keep_plan(run)
        write_whole(run.plan_path, plan_to_toml(plan), durable=True)
        allow(run, times - 1)
    except (LoratuiError, OSError) as error:
        log.error("the run could not mend itself: %s", error)
        return
    changes = ", ".join(f"{key} {before.get(key)} → {value}" for key, value in fix.items())
    last = run.last_checkpoint()
    start = f"from {last.name}" if last else "from the beginning"
    journal.emit("finding", finding="recovered", severity="warning", step=journal.status.step, message=f"{why} Mended unattended: {changes}; it goes on {start}.")
    journal.phase("start", "Beginning anew with the mended plan", state="starting")
    sys.stdout.flush()
    sys.stderr.flush()
    place = run.place
    os.chdir("/")
    os.execv(sys.executable, [sys.executable, "-m", "loratui.worker", "train", str(place)])
