"""What stands between a step of the wizard and the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loratui.tui.state import WizardState


@dataclass(frozen=True)
class Problem:
    """Something that stands between a step and the next."""

    sentence: str
    focus: str = ""
    """Selector of the widget to go to, or the plan key of the field."""
    blocking: bool = True


def missing(state: WizardState, step: str) -> list[Problem]:
    """What stands between `step` and the next one, the first to mend first."""
    found: list[Problem] = []
    if step == "model":
        if not state.draft.model:
            found.append(Problem("Choose a model first: the demo, or one of the list.", "#models"))
        elif state.model_problem:
            found.append(Problem(state.model_problem, "#models"))
    elif step == "dataset":
        if not state.draft.dataset:
            found.append(Problem("Choose a dataset first: the demo, or a file.", "#path"))
        elif state.dataset_problem:
            found.append(Problem(state.dataset_problem, "#path"))
    elif step in ("recipe", "review"):
        if state.plan_problem:
            found.append(Problem(state.plan_problem))
        if state.proposal is not None and state.proposal.verdict == "too big":
            short = -state.proposal.headroom_bytes / 2**30
            found.append(Problem(f"This plan needs {short:.2f} GiB more than there is.", blocking=False))
        elif state.proposal is not None and state.proposal.verdict == "tight":
            short = (state.proposal.memory.upper_bytes - state.proposal.budget.bytes) / 2**30
            found.append(Problem(f"This plan is tight: it may need up to {short:.2f} GiB more than there is.", blocking=False))
    return found
