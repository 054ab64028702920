"""How a training ended badly: said by its worker, mended where that is allowed, or left for the process over
several.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.files import write_whole
from loratui.runs.continuation import Continuation, change, continuation
from loratui.runs.directory import Run
from loratui.runs.events import Fix
from loratui.runs.failure import SPOILT, was_tried
from loratui.runs.history import other_events
from loratui.runs.recovery import TIMES, allow, allowed, left
from loratui.worker.plain_words import plain_words, unknown_words
from loratui.worker.training.journal import WATCHED, Journal
from loratui.worker.training.processes import node_name

log = logging.getLogger("loratui")
FAILED = 1
FELLOW_LOST = "process-lost"
"""Code of a failure that follows from another process's end."""
GONE = "process-gone"
"""Code of a process that said nothing: killed, or crashed in a library."""
LAST_WORDS = ("oom", "disk-full")
"""Codes that explain whatever else went wrong."""


@dataclass(frozen=True)
class Ending:
    """Why a process stopped training. fixes: ways to mend it, the best first, as events carry them."""

    state: str
    message: str
    code: str = "error"
    where: str = ""
    step: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    fixes: list[dict[str, Any]] = field(default_factory=list)
    node: str = ""
    """The scheduler's name of the computer where it happened; empty outside a job."""


def ending_of(error: BaseException, journal: Journal) -> Ending:
    """What an exception means; the traceback goes to the log."""
    _print_traceback()
    step, phase = journal.status.step, journal.status.phase
    try:
        from loratui.worker.training.failure import explain, memory_facts
    except BaseException as second:  # noqa: BLE001 (torch itself may be what cannot be imported)
        if second is not error and not isinstance(error, ImportError):
            log.error("how it ended cannot be explained: %s", second)
        sentence, hint = plain_words(second if isinstance(second, ImportError) else error) or (
            f"It ended while starting, by {unknown_words(error)}: its log has it whole.",
            "",
        )
        return Ending("failed", f"{sentence[0].upper()}{sentence[1:]} {hint}".strip(), step=step)
    failure = explain(error, phase)
    facts = getattr(error, "facts", None) or (memory_facts(error) if failure.code == "oom" else {})
    return Ending(
        "failed",
        failure.message,
        failure.code,
        failure.where or str(facts.get("where", "")),
        step,
        facts,
        list(facts.get("fixes", [])),
    )


def _print_traceback() -> None:
    try:
        traceback.print_exc()
    except OSError as error:  # the log lies on the disk that is full; how the run ended must be said all the same
        log.error("the traceback could not be written: %s", error)


def say(run: Run, journal: Journal, ending: Ending) -> int:
    """Write it into the run, or mend the run where that is allowed and possible; the process's exit status."""
    from loratui.worker.training.fix_outcome import OutcomeWatch

    last = run.last_checkpoint()
    if ending.code == "disk-full":
        message = (
            f"{ending.message} The last whole checkpoint is {last.name}."
            if last
            else f"{ending.message} There is no checkpoint yet."
        )
        journal.emit("finding", finding="disk-full", severity="error", message=message, step=ending.step)
        journal.emit("stopped", step=ending.step, reason=message, checkpoint=f"checkpoints/{last.name}" if last else "")
        journal.close("stopped", message)
        return FAILED
    if ending.code == "oom":
        facts = {key: value for key, value in ending.facts.items() if key not in ("passed", "code")}
        journal.emit("oom", **{"where": ending.where, "message": ending.message, "step": ending.step} | facts)
    OutcomeWatch(run, journal).failed(ending.code, ending.step, ending.message)
    why_not = recover(run, journal, ending)
    message = f"{ending.message} {why_not}".strip()
    journal.emit("failed", message=message, code=ending.code, where=ending.where, step=ending.step)
    journal.close("failed", message)
    return FAILED


def is_watched() -> bool:
    """Whether another process says how this one ended."""
    return WATCHED in os.environ


def leave(run: Run, rank: int, ending: Ending) -> int:
    """Leave it for the process that watches; the exit status that makes the launcher end the others."""
    named = replace(ending, node=node_name())
    write_whole(run.path / f".ending-{rank}.json", json.dumps(asdict(named)) + "\n")
    return FAILED


def take_left(run: Run) -> Ending | None:
    """The ending that explains the others: memory first (one that waited for it breaks too), else the first; the files
    are gone then.
    """
    found = sorted(endings(run), key=lambda one: _rank_of(*one))
    for path, _ in found:
        path.unlink(missing_ok=True)
    return found[0][1] if found else None


def endings(run: Run) -> list[tuple[Path, Ending]]:
    """How processes said that they ended, each with its file."""
    found = []
    for path in run.path.glob(".ending-*.json"):
        try:
            found.append((path, Ending(**json.loads(path.read_bytes()))))
        except (OSError, ValueError, TypeError) as error:
            log.error("%s cannot be read: %s", path.name, error)
            path.unlink(missing_ok=True)
    return found


def _rank_of(path: Path, ending: Ending) -> tuple[int, float]:
    first = 0 if ending.code in LAST_WORDS else 2 if ending.code == FELLOW_LOST else 1
    try:
        return first, path.stat().st_mtime
    except OSError:
        return first, 0.0


def has_left(run: Run) -> bool:
    """Whether any process has left how it ended."""
    return next(run.path.glob(".ending-*.json"), None) is not None


KEPT = (
    "dataset.",
    "training.max_length",
    "training.epochs",
    "training.max_steps",
    "training.loss_on",
    "evaluation.every_steps",
    "method.kind",
)
"""Beginnings of keys that nobody but a person may change: what is learnt from, and for how long."""
RATE = {"training.learning_rate", "training.warmup_steps"}


def recover(run: Run, journal: Journal, ending: Ending) -> str:
    """Apply the first fix that may be applied unattended and begin anew. Returns only where nothing is: why, or ""
    where it was not asked to.

    A run of several processes is left to its launcher: one of them cannot begin anew alone.
    """
    if not ending.fixes and ending.code not in SPOILT | {"oom"}:
        return ""
    if not allowed(run) or not journal.writes or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return ""
    if int(os.environ.get("SLURM_JOB_NUM_NODES", "1")) > 1:
        return "On several nodes nothing is changed unattended: it waits for a person."
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
    applied = [event for event in other_events(run.events_path) if isinstance(event, Fix)]
    again = [fix for fix in applied if fix.by == "auto" and fix.reason == ending.code and fix.at_step == ending.step]
    if ending.code in SPOILT and len(again) > 1:
        return (
            None,
            (
                f"It happened at step {ending.step} again, whatever was changed: look at the rows of that step. It "
                "waits for a person."
            ),
        )
    ranked = [fix for fix in ending.fixes if fix.get("fits", True)] + [
        fix for fix in ending.fixes if not fix.get("fits", True)
    ]
    for fix in ranked:
        changes = dict(fix.get("change", {}))
        if (
            not _may(plan, changes, fix)
            or (again and set(changes) <= RATE and ending.code in SPOILT)
            or was_tried(applied, changes, bool(fix.get("restart")))
        ):
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
