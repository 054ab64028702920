"""What stands between a step of the wizard and the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loratui.format import size
from loratui.tui.wizard.draft import Draft

if TYPE_CHECKING:
    from loratui.tui.wizard.dataset import ChosenDataset
    from loratui.tui.wizard.model import ChosenModel
    from loratui.tui.wizard.plan import ProposedPlan


class Problem(NamedTuple):
    """Something that stands between a step and the next."""

    sentence: str
    focus: str = ""
    """Selector of the widget to go to, or the plan key of the field."""
    blocking: bool = True


def missing(step: str, draft: Draft, model: ChosenModel, dataset: ChosenDataset, plan: ProposedPlan) -> list[Problem]:
    """What stands between `step` and the next one, the first to mend first."""
    found: list[Problem] = []
    if step == "model":
        if not draft.model:
            found.append(Problem("Choose a model first: the demo, or one of the list.", "#models"))
        elif model.problem:
            found.append(Problem(model.problem, "#models"))
    elif step == "dataset":
        if not draft.dataset:
            found.append(Problem("Choose a dataset first: o opens a file, d takes the demo.", "#row"))
        elif dataset.problem:
            found.append(Problem(dataset.problem, "#row"))
        elif dataset.unanswered(draft):
            found.append(Problem("The rows are preferences: f answers what they are taken for.", "#row"))
    elif step in ("recipe", "review"):
        if plan.problem:
            found.append(Problem(plan.problem))
        if dataset.no_pairs():
            found.append(Problem("The plan learns preferences, and the rows have no chosen and rejected answers."))
        if plan.proposal is not None and plan.proposal.verdict == "too big":
            short = size(-plan.proposal.headroom_bytes)
            found.append(Problem(f"This plan needs {short} more than there is.", blocking=False))
        elif plan.proposal is not None and plan.proposal.verdict == "tight":
            short = size(plan.proposal.memory.upper_bytes - plan.proposal.budget.bytes)
            found.append(Problem(f"This plan is tight: it may need up to {short} more than there is.", blocking=False))
    return found
