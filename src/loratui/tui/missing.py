"""What stands between a step of the wizard and the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from loratui.format import size

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal
    from loratui.tui.draft import Draft


class Chosen(Protocol):
    """What must be known of the wizard to say what it lacks."""

    @property
    def draft(self) -> Draft: ...
    @property
    def model_problem(self) -> str: ...
    @property
    def dataset_problem(self) -> str: ...
    @property
    def plan_problem(self) -> str: ...
    @property
    def proposal(self) -> Proposal | None: ...


@dataclass(frozen=True)
class Problem:
    """Something that stands between a step and the next."""

    sentence: str
    focus: str = ""
    """Selector of the widget to go to, or the plan key of the field."""
    blocking: bool = True


def missing(state: Chosen, step: str) -> list[Problem]:
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
            short = size(-state.proposal.headroom_bytes)
            found.append(Problem(f"This plan needs {short} more than there is.", blocking=False))
        elif state.proposal is not None and state.proposal.verdict == "tight":
            short = size(state.proposal.memory.upper_bytes - state.proposal.budget.bytes)
            found.append(Problem(f"This plan is tight: it may need up to {short} more than there is.", blocking=False))
    return found
