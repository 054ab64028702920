"""Whether the last fix helped: known once the run is past the place where it went wrong, or goes wrong again."""

from __future__ import annotations

import math

from loratui.core.diagnosis.divergence import WINDOW
from loratui.core.diagnosis.overfitting import RISE_NATS, RISE_SHARE
from loratui.runs.course import Course, read_course
from loratui.runs.directory import Run
from loratui.runs.events import Fix
from loratui.runs.failure import SPOILT, failed_fixes, pending_fix, standing_words, still_standing
from loratui.runs.history import other_events, placed_events
from loratui.worker.training.journal import Journal

PAST_STEPS = 10
"""Steps with finite numbers beyond the step that had none."""


class OutcomeWatch:
    """Holds the fix that is not judged yet, and tells once it is."""

    def __init__(self, run: Run, journal: Journal) -> None:
        self.run, self.journal = run, journal
        self.fix: Fix | None = pending_fix(other_events(run.events_path)) if journal.writes else None

    def passed(self, what: str, step: int, loss: float | None = None) -> None:
        """A step, an evaluation or a save went well: enough, or not yet."""
        fix = self.fix
        if fix is None:
            return
        shown = f" with a loss of {loss:.4g}" if loss is not None else ""
        if fix.reason == "oom":
            place = {"load": "step", "generation": "evaluation"}.get(fix.where, fix.where or "step")
            if what == place and (what != "step" or step > fix.at_step or fix.where == "load"):
                self._tell(
                    True,
                    step,
                    f"{place.capitalize()} {step} found room."
                    if what == "step"
                    else f"The {place} of step {step} found room.",
                )
        elif fix.reason in SPOILT and what == "step":
            past = fix.at_step + (WINDOW if fix.reason in ("diverged", "diverging") else PAST_STEPS)
            if step >= past and (loss is None or loss <= self._began_at()):  # else it has yet to come back
                self._tell(
                    True, step, f"The run is at step {step}{shown}, past step {fix.at_step} where it went wrong."
                )

    def _began_at(self) -> float:
        """The loss that the run began at; infinite where that is not known or no number."""
        start = read_course(self.run).curves().start_loss
        return start if math.isfinite(start) else math.inf

    def finished(self, step: int) -> None:
        """The run is at its end: a fix against a failure has helped, any other if the losses are lower than they were
        before it.
        """
        fix = self.fix
        if fix is None:
            return
        if fix.reason == "oom" or fix.reason in SPOILT:
            self._tell(True, step, "The run came to its end.")
        elif fix.reason:
            self._compare(fix, step)
        elif fix.start == "checkpoint":
            self._made_worse(fix, step)

    def failed(self, code: str, step: int, message: str) -> None:
        """It went wrong again before anybody could say that it had helped."""
        if self.fix is not None and (code == "oom" or code in SPOILT):
            self._tell(False, step, message)

    def _compare(self, fix: Fix, step: int) -> None:
        before, after = (_best(course) for course in _around(self.run, fix))
        if before is None or after is None:
            return
        (what, then), (_, now) = before, after
        self._tell(now < then, step, f"The lowest {what} is {now:.4g}; before the fix it was {then:.4g}.")

    def _made_worse(self, fix: Fix, step: int) -> None:
        """A change that nothing called for is only judged where every evaluation since is well above those before."""
        before, after = (course.evaluations(step) for course in _around(self.run, fix))
        then = min((loss for at, loss in before if at <= fix.from_step), default=math.inf)
        now = min((loss for at, loss in after if at > fix.from_step), default=-math.inf)
        if now > max(then * (1 + RISE_SHARE), then + RISE_NATS):
            message = f"The lowest held-out loss since is {now:.4g}; before the change it was {then:.4g}."
            self._tell(False, step, message)

    def _tell(self, helped: bool, step: int, message: str) -> None:
        if not helped and self.fix is not None:
            failed = [*failed_fixes(other_events(self.run.events_path)), self.fix]
            message = f"{message} {standing_words(still_standing(self.run.plan(), failed))}".rstrip()
        self.fix = None
        self.journal.emit("fix_outcome", helped=helped, step=step, message=message)


def _around(run: Run, fix: Fix) -> tuple[Course, Course]:
    """The courses until the fix, and at the end. Its place in the file decides: a clock may have been turned since."""
    place = max((place for place, event in placed_events(run.events_path) if event == fix), default=0)
    return read_course(run, until=place), read_course(run)


def _best(course: Course) -> tuple[str, float] | None:
    curves = course.curves()
    if curves.evaluations:
        return "held-out loss", min(loss for _, loss in curves.evaluations)
    return ("smoothed loss", min(curves.smoothed)) if curves.smoothed else None
