"""When a batch scheduler will end this job: a run saves and stops before that."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

RESERVE_SECONDS = 60.0
"""How long before the end a run stops, beside two more steps and two more saves: schedulers send SIGKILL half a minute after SIGTERM."""


class TimeLimit:
    """The end of the job that this process belongs to, where its scheduler tells it (Slurm: `SLURM_JOB_END_TIME`, Unix seconds)."""

    def __init__(self, environment: Mapping[str, str] | None = None, *, now: float | None = None) -> None:
        text = (os.environ if environment is None else environment).get("SLURM_JOB_END_TIME", "")
        end = float(text) if text.isdigit() else 0.0
        self.end: float | None = end if end > (time.time() if now is None else now) else None
        """None where there is no limit, or an outdated one: of a job that is over, whose environment somebody kept."""

    def near(self, step_seconds: float, save_seconds: float, *, now: float | None = None) -> bool:
        """Whether the run should stop now. Both: how long one took lately."""
        if self.end is None:
            return False
        return (time.time() if now is None else now) + RESERVE_SECONDS + 2 * (step_seconds + save_seconds) >= self.end

    @property
    def reason(self) -> str:
        """Why the run stops, for people."""
        return f"the scheduler's time limit: it ends this job at {time.strftime('%H:%M', time.localtime(self.end))}"
