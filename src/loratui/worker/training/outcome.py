"""How a training ended that its own process could end: finished, stopped for good, or left for its next job."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from loratui.runs.status import State
from loratui.worker.training.journal import Journal
from loratui.worker.training.signals import Requests


@dataclass(frozen=True)
class Outcome:
    """How the run ended."""

    state: State
    message: str = ""
    code: str = ""
    """What stopped it, where that was an error: a finding's kind."""
    fixes: list[dict[str, Any]] = field(default_factory=list)
    """Ways to mend it, as a `finding` event carries them."""


def left(journal: Journal, requests: Requests, step: int, reason: str, checkpoint: str = "") -> Outcome:
    """Say that it stopped: for good, or, where the scheduler ends its job, to go on in the next one."""
    if not requests.goes_on:
        told = {name: value for name, value in (("checkpoint", checkpoint), ("by", requests.by)) if value}
        journal.emit("stopped", step=step, reason=reason, **told)
        return Outcome("stopped", reason)
    number, nodes = os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_JOB_NODELIST", "")
    job = int(number) if number.isdigit() else 0
    journal.emit("paused", step=step, reason=reason, checkpoint=checkpoint, job=job, nodes=nodes)
    return Outcome("queued", f"Saved at step {step}; it goes on in its next job ({reason}).")
