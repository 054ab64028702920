"""A trial's values as the wizard's plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loratui.core.plan import Plan
from loratui.core.plan_text import fields
from loratui.experiments.vary import values_text
from loratui.runs.start import with_absolute_paths
from loratui.tui.common.dialogs import ConfirmScreen
from loratui.tui.wizard.draft import Draft

if TYPE_CHECKING:
    from loratui.experiments.directory import Trial
    from loratui.tui.app import LoratuiApp

SAME = ("model.id", "dataset.path", "dataset.parts")
"""What decides whether the present draft is the one that was tried."""
READING = ("model.", "dataset.")
ELSEWHERE = ("hardware.", "cluster.")
"""Where a run is placed follows from the machine."""
SHOWN = 4


async def adopt(app: LoratuiApp, name: str, trial: Trial, plan: Plan) -> str:
    """Have the wizard's plan take a trial's values, as set by hand, and show the recipe. Where the wizard is at another
    model or dataset, a new draft is begun, once the person agrees. plan: that of the trial. What is to be said of it;
    empty where the person would rather not. PlanError where the values do not go with the rest.
    """
    now = app.state.plan.proposal
    here = with_absolute_paths(now.plan) if now is not None else None
    if here is None or any(here.get(key) != plan.get(key) for key in SAME):
        words = "Its model or its dataset is not the one that is chosen now. The present draft is kept aside."
        if not await app.push_screen_wait(ConfirmScreen(f"Begin a draft with the plan of {name}?", words, "begin it")):
            return ""
        app.begin_draft(draft_of(trial, plan))
        return f"The plan is that of trial {trial.number}."
    app.state.choices.set_values(trial.values)
    app.open_step("recipe")
    told = f"The plan has the values of trial {trial.number}: {values_text(trial.values)}; u takes them back."
    proposal = app.state.plan.proposal
    others = other_keys(proposal.plan, plan) if proposal is not None else []
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        told += f" Not as in the experiment: {', '.join(others[:SHOWN])}{more}."
    app.call_after_refresh(lambda: app.screen.say(told, "warning" if others else "done"))  # type: ignore[attr-defined]
    return told


def other_keys(now: Plan, tried: Plan) -> list[str]:
    """The keys of the recipe in which a plan is not the one that was tried."""
    here = with_absolute_paths(now)
    own = (key for key in fields() if not key.startswith((*READING, *ELSEWHERE)))
    return [key for key in own if here.get(key) != tried.get(key)]


def draft_of(trial: Trial, plan: Plan) -> Draft:
    """A draft whose plan is that of a trial: its values set by hand, and how model and rows are read; the rest held,
    for nobody chose it.
    """
    default = Plan()
    values: dict[str, Any] = {key: plan.get(key) for key in fields() if not key.startswith(ELSEWHERE)}
    by_hand = {
        key: value
        for key, value in values.items()
        if key.startswith(READING) and value != default.get(key) and key not in ("model.id", "dataset.path")
    }
    by_hand |= trial.values
    held = {key: value for key, value in values.items() if not key.startswith(READING) and key not in by_hand}
    parts = plan.dataset.parts
    return Draft(
        step="recipe",
        cpu=plan.hardware.cpu,
        devices=list(plan.hardware.devices),
        model=plan.model.id,
        dataset=plan.dataset.path or (parts[0].path if parts else ""),
        by_hand=by_hand,
        held=held,
    )
