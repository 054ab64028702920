"""The actions on a run: their keys and words, in which states each is possible, and why it is not in the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from textual.binding import Binding

from loratui.runs.states import ENDED, State
from loratui.tui.keys import RUN

if TYPE_CHECKING:
    from loratui.tui.training.follow import Followed

EVERY: frozenset[str] = frozenset(get_args(State))
AT_WORK = EVERY - ENDED
TRAINING = AT_WORK - {"queued"}
UNFINISHED = ENDED - {"finished"}


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold besides the state; `otherwise` says what is missing."""

    holds: Callable[[Followed], bool]
    otherwise: str

    def otherwise_of(self, followed: Followed) -> str:
        """What is missing of this run; empty where it holds."""
        return "" if self.holds(followed) else self.otherwise


def _has_fixes(followed: Followed) -> bool:
    from loratui.tui.training.mending import fixes_of  # here, so that a screen's keys do not wait for it

    return bool(fixes_of(followed))


READ = Condition(lambda followed: followed.whole, "the run's history is still being read")
PLAN = Condition(lambda followed: followed.plan is not None, "its plan cannot be read")
FIXES = Condition(_has_fixes, "nothing was found that a change of its plan would mend")
SAMPLES = Condition(lambda followed: bool(followed.record.samples), "it has answered no pinned prompt yet")
SEEN = Condition(lambda followed: followed.has_checkpoint is not None, "its checkpoints are still being looked for")
RESULT_OR_SEEN = Condition(lambda followed: followed.status.state == "finished" or SEEN.holds(followed), SEEN.otherwise)
WEIGHTS = Condition(
    lambda followed: followed.status.state == "finished" or bool(followed.has_checkpoint), "it has no checkpoint yet"
)
MADE = Condition(WEIGHTS.holds, "it has made nothing to take yet, neither a checkpoint nor a result")
ANSWERS = Condition(
    lambda followed: followed.plan is not None and followed.plan.training.objective == "sft",
    "it learnt preferences already: the playground's m trains it further",
)
CHECKPOINT = Condition(lambda followed: bool(followed.has_checkpoint), "it has no checkpoint to go on from")


@dataclass(frozen=True, slots=True)
class RunAction:
    """One action. states: in which it may be taken; `when` says that in words. changes: it starts another worker."""

    name: str
    key: str
    label: str
    tooltip: str
    states: frozenset[str] = EVERY
    when: str = ""
    conditions: tuple[Condition, ...] = ()
    changes: bool = False
    afterwards: str = ""
    """What does this for a run that is over; RUN stands for its name."""

    def why_not(self, followed: Followed | None) -> str:
        """Why it cannot be done with this run now, in one sentence; empty where it can."""
        if followed is None:
            return f"{self.label}: there is no run here."
        if not followed.looked:
            return f"{self.label}: the run is still being read."
        if followed.gone:
            return f"{self.label}: the run's folder is gone."
        if followed.status.state not in self.states:
            words = f"{self.label}: only {self.when}; it is {followed.status.state}."
            if self.afterwards and followed.status.over and not WEIGHTS.otherwise_of(followed):
                words += f" {self.afterwards.replace('RUN', followed.run.typed)}"
            return words
        missing = next(filter(None, (one.otherwise_of(followed) for one in self.conditions)), "")
        return f"{self.label}: {missing}." if missing else ""


RUNNING = "while its worker is at work"

ACTIONS: tuple[RunAction, ...] = (
    RunAction("stop", RUN["stop"], "Stop", "Finish the step, save a checkpoint, and stop", AT_WORK, RUNNING),
    RunAction(
        "fix",
        RUN["fix"],
        "Fix",
        "Apply what would mend the run, and go on from the last checkpoint",
        conditions=(PLAN, FIXES),
        changes=True,
    ),
    RunAction("save", RUN["save"], "Save now", "Save a checkpoint after this step", TRAINING, RUNNING, (READ,)),
    RunAction(
        "evaluate",
        RUN["evaluate"],
        "Evaluate",
        "Evaluate on the held-out rows after this step",
        TRAINING,
        RUNNING,
        (READ,),
        afterwards=f"{RUN['ask']} then ^g scores it, or loratui evaluate RUN.",
    ),
    RunAction(
        "resume",
        RUN["resume"],
        "Resume",
        "Go on from the last checkpoint",
        UNFINISHED,
        "for a run that stopped, failed or was lost",
        changes=True,
    ),
    RunAction("ask", RUN["ask"], "Ask it", "Ask it something in the playground", conditions=(RESULT_OR_SEEN, WEIGHTS)),
    RunAction(
        "take_away",
        RUN["take_away"],
        "Take away",
        "Merge, export, push or serve what it made",
        conditions=(PLAN, RESULT_OR_SEEN, MADE),
    ),
    RunAction("log", RUN["log"], "Log", "What the worker printed"),
    RunAction(
        "more",
        RUN["more"],
        "More epochs",
        "Train it for more epochs, from its last checkpoint",
        frozenset({"finished", "stopped"}),
        "for a run that finished or was stopped",
        (PLAN, SEEN, CHECKPOINT),
        changes=True,
    ),
    RunAction(
        "anew",
        RUN["anew"],
        "Train anew",
        "Train it again from the base; what it made is kept, set aside",
        ENDED,
        "once it is over",
        (PLAN,),
        changes=True,
    ),
    RunAction(
        "samples", RUN["samples"], "Samples", "The pinned prompts' answers at each evaluation", conditions=(SAMPLES,)
    ),
    RunAction(
        "prefer",
        RUN["prefer"],
        "Preferences",
        "Learn preferences (DPO) on what it made: the wizard is filled in, but for the pairs",
        frozenset({"finished"}),
        "for a run that finished",
        (PLAN, ANSWERS),
    ),
)
"""All of them, in the order of their keys on a screen."""

BY_NAME = {action.name: action for action in ACTIONS}
BY_KEY = {action.key: action for action in ACTIONS}


def run_bindings() -> list[Binding]:
    """The keys of a screen that shows a run; they call its `action_act` with the action's name."""
    return [
        Binding(action.key, f"act('{action.name}')", action.label, tooltip=action.tooltip, id=f"run.{action.name}")
        for action in ACTIONS
    ]
