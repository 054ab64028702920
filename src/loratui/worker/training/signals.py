"""What is asked of a training from outside: to stop, to save or evaluate now; and when a scheduler ends the job."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from types import FrameType

from loratui.core.plan import Plan
from loratui.runs.stop_note import SCHEDULER, SIGNAL, stopped_words

HEEDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2})


class StopRequestedError(BaseException):
    """The run was asked to stop before its first step, when there is nothing to save. No library may catch it as an
    error.
    """


class EvaluationStoppedError(Exception):
    """The run was asked to stop while it evaluated: the evaluation is given up."""


class Requests:
    """Signals as wishes that the training looks at after each step."""

    def __init__(self, *, requeued: bool = False, until: int = 0) -> None:
        """requeued: a scheduler's job of its own executes the run, and it goes on in a next one. until: the optimizer
        step after which it is evaluated, saved and stopped, whatever the plan's length is; 0: none.
        """
        self.requeued, self.until = requeued, until
        self.goes_on = False
        """Whether a stop is the scheduler's, after which the run goes on in its next job."""
        self.stop = False
        self.save = False
        self.evaluate = False
        self.reason = self.by = ""
        """Why it stops, for people; and who asked for it, as a `stopped` event says."""
        self.who_asked: Callable[[], str | None] = lambda: None
        """Set by the worker: who has asked this start of the run to stop."""
        self.training = False
        """Set once steps are being made: until then a stop takes effect at once."""

    def hold(self) -> None:
        """Let signals wait until `install`: a run that has a process id can be asked to stop, and must be able to say
        that it did.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)

    def install(self) -> None:
        """Take the signals over. SIGHUP is ignored: losing a terminal changes nothing. May raise StopRequestedError."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGUSR1, self._on_save)
        signal.signal(signal.SIGUSR2, self._on_evaluate)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.heed(number)
        if not self.training:
            raise StopRequestedError(self.reason)

    def heed(self, number: int) -> None:
        """Take a signal to stop for what it means."""
        scheduled = "SLURM_JOB_ID" in os.environ and number == signal.SIGTERM
        if self.stop and scheduled:
            return  # what was asked before stands
        self.goes_on = self.requeued and scheduled
        self._stop(signal.Signals(number).name, scheduled=scheduled)

    def heed_others(self, *, goes_on: bool) -> None:
        """Take a stop that another process of the run was asked for, after which the run goes on in its next job or
        not.
        """
        self.goes_on = goes_on
        self._stop("sent to another of its processes", scheduled=goes_on)

    def _stop(self, how: str, *, scheduled: bool) -> None:
        self.stop = True
        self.by = SCHEDULER if scheduled else self.who_asked() or SIGNAL
        self.reason = f"the scheduler ends this job ({how})" if scheduled else stopped_words(self.by, how)

    def reached(self, step: int) -> bool:
        """Whether the run was to be trained until here, and no further."""
        return 0 < self.until <= step

    def _on_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True

    def _on_evaluate(self, number: int, frame: FrameType | None) -> None:
        self.evaluate = True


def requeued_job(plan: Plan, environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process belongs to a job that goes on by itself when it is ended before the run is."""
    inside = "SLURM_JOB_ID" in (os.environ if environment is None else environment)
    return bool(plan.cluster.engine) and plan.cluster.requeue and inside


RESERVE_SECONDS = 60.0
"""How long before the end a run stops, beside two more steps and two more saves: schedulers send SIGKILL half a minute
after SIGTERM.
"""


class TimeLimit:
    """The end of the job that this process belongs to, where its scheduler tells it (Slurm: `SLURM_JOB_END_TIME`, Unix
    seconds).
    """

    def __init__(self, environment: Mapping[str, str] | None = None, *, now: float | None = None) -> None:
        known = os.environ if environment is None else environment
        text, began = (known.get(f"SLURM_JOB_{name}_TIME", "") for name in ("END", "START"))
        end = float(text) if text.isdigit() else 0.0
        self.reserve = RESERVE_SECONDS
        if began.isdigit() and end:  # a short job must have some of its time left to train in
            self.reserve = min(RESERVE_SECONDS, max(0.0, end - float(began)) / 4)
        self.end: float | None = end if end > (time.time() if now is None else now) else None
        """None where there is no limit, or an outdated one: of a job that is over, whose environment somebody kept."""

    def near(self, step_seconds: float, save_seconds: float, *, now: float | None = None) -> bool:
        """Whether the run should stop now. Both: how long one took lately."""
        if self.end is None:
            return False
        return (time.time() if now is None else now) + self.reserve + 2 * (step_seconds + save_seconds) >= self.end

    @property
    def reason(self) -> str:
        """Why the run stops, for people."""
        return f"the scheduler's time limit: it ends this job at {time.strftime('%H:%M', time.localtime(self.end))}"
