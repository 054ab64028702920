"""How a training ended badly: said by its worker, or left for the process that watches over several."""

from __future__ import annotations

import json
import logging
import os
import traceback
from dataclasses import asdict, dataclass, field
from typing import Any

from loratui.files import write_whole
from loratui.runs.directory import Run
from loratui.worker.training.journal import WATCHED, Journal

log = logging.getLogger("loratui")
FAILED = 1
FELLOW_LOST = "process-lost"
"""Code of a failure that follows from another process's end."""
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


def ending_of(error: BaseException, journal: Journal) -> Ending:
    """What an exception means; the traceback goes to the log."""
    _print_traceback()
    step, phase = journal.status.step, journal.status.phase
    try:
        from loratui.worker.training.failure import explain, memory_facts
    except BaseException as second:  # noqa: BLE001 (torch itself may be what cannot be imported)
        return Ending("failed", f"{type(error).__name__}: {error}" if second is not error else str(error), step=step)
    failure = explain(error, phase)
    facts = getattr(error, "facts", None) or (memory_facts(error) if failure.code == "oom" else {})
    return Ending("failed", failure.message, failure.code, failure.where or str(facts.get("where", "")), step, facts, list(facts.get("fixes", [])))


def _print_traceback() -> None:
    try:
        traceback.print_exc()
    except OSError as error:  # the log lies on the disk that is full; how the run ended must be said all the same
        log.error("the traceback could not be written: %s", error)


def say(run: Run, journal: Journal, ending: Ending) -> int:
    """Write it into the run, or mend the run where that is allowed and possible; the process's exit status."""
    from loratui.worker.training.outcome import OutcomeWatch
    from loratui.worker.training.recover import recover

    last = run.last_checkpoint()
    if ending.code == "disk-full":
        message = f"{ending.message} The last whole checkpoint is {last.name}." if last else f"{ending.message} There is no checkpoint yet."
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
    write_whole(run.path / f".ending-{rank}.json", json.dumps(asdict(ending)) + "\n")
    return FAILED


def take_left(run: Run) -> Ending | None:
    """The ending that explains the others: memory first (one that waited for it breaks too), else the first; the files are gone then."""
    found: list[tuple[int, float, Ending]] = []
    for path in run.path.glob(".ending-*.json"):
        try:
            ending = Ending(**json.loads(path.read_bytes()))
            found.append((0 if ending.code in LAST_WORDS else 2 if ending.code == FELLOW_LOST else 1, path.stat().st_mtime, ending))
        except (OSError, ValueError, TypeError) as error:
            log.error("%s cannot be read: %s", path.name, error)
        path.unlink(missing_ok=True)
    return min(found, key=lambda one: one[:2])[2] if found else None


def has_left(run: Run) -> bool:
    """Whether any process has left how it ended."""
    return next(run.path.glob(".ending-*.json"), None) is not None
