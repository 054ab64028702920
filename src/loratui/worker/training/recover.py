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
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.changing import Continuation, change, continuation
from loratui.runs.directory import Run
from loratui.runs.events import Fix
from loratui.runs.recovery import TIMES, allow, allowed, left
from loratui.runs.tail import EventTail
from loratui.runs.trouble import SPOILT
from loratui.worker.training.ending import Ending
from loratui.worker.training.journal import Journal

log = logging.getLogger("loratui")
KEPT = ("dataset.", "training.max_length", "training.epochs", "training.max_steps", "training.loss_on", "evaluation.every_steps", "method.kind")
"""Beginnings of keys that nobody but a person may change: what is learnt from, and for how long."""
RATE = {"training.learning_rate", "training.warmup_steps"}


def recover(run: Run, journal: Journal, ending: Ending) -> str:
    """Apply the first fix that may be applied unattended and begin anew. Returns only where nothing is: why, or "" where it was not asked to.

    A run of several processes is left to its launcher: one of them cannot begin anew alone.
    """
    if not ending.fixes and ending.code not in SPOILT | {"oom"}:
        return ""
    if not allowed(run) or not journal.writes or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return ""
    times = left(run)
    if not times:
        return f"{TIMES} changes were tried unattended: it waits for a person."
    try:
        chosen, why_not = choose(run, run.plan(), ending)
        if chosen is None:
            return why_not
        fields = change(run, chosen)
        allow(run, times - 1)
    except (LoratuiError, OSError) as error:
        log.error("the run could not mend itself: %s", error)
        return f"It could not mend itself: {error}"
    journal.emit("fix", **fields, reason=ending.code, by="auto", at_step=ending.step, where=ending.where)
    journal.phase("start", "Beginning anew with the mended plan", state="starting")
    sys.stdout.flush()
    sys.stderr.flush()
    place = run.place
    os.chdir("/")
    os.execv(sys.executable, [sys.executable, "-m", "loratui.worker", "train", str(place)])


def choose(run: Run, plan: Plan, ending: Ending) -> tuple[Continuation | None, str]:
    """The first fix that may be applied without a person; or why there is none."""
    applied = [event for event in EventTail(run.events_path).new_events() if isinstance(event, Fix)]
    again = [fix for fix in applied if fix.by == "auto" and fix.reason == ending.code and fix.at_step == ending.step]
    if ending.code in SPOILT and len(again) > 1:
        return None, f"It happened at step {ending.step} again, whatever was changed: look at the rows of that step. It waits for a person."
    ranked = [fix for fix in ending.fixes if fix.get("fits", True)] + [fix for fix in ending.fixes if not fix.get("fits", True)]
    for fix in ranked:
        changes = dict(fix.get("change", {}))
        if not _may(plan, changes, fix) or (again and set(changes) <= RATE and ending.code in SPOILT) or _tried(applied, changes, bool(fix.get("restart"))):
            continue
        how = continuation(run, changes, restart=bool(fix.get("restart")))
        if how.start == "anew" and run.last_checkpoint() is not None and ending.code not in SPOILT:
            continue  # memory ran out: what was learnt until then is worth more than an hour of waiting
        if how.changes:
            return how, ""
    return None, "No change is left that keeps what is learnt: it waits for a person."


def _may(plan: Plan, changes: Mapping[str, Any], fix: Mapping[str, Any]) -> bool:
    if not changes or not fix.get("unattended", True) or any(key.startswith(KEPT) for key in changes):
        return False
    try:
        return with_values(plan, changes) != plan
    except LoratuiError:
        return False


def _tried(applied: Sequence[Fix], changes: Mapping[str, Any], restart: bool) -> bool:
    """Whether these values were put in before: the same fix twice mends nothing that it did not mend once."""
    return any(
        all(key in fix.changes and fix.changes[key][1] == value for key, value in changes.items()) and (fix.start == "anew" or not restart)
        for fix in applied
    )
