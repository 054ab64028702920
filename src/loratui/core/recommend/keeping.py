"""Watching and keeping: evaluations, early stopping, checkpoints, seed."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core.recommend.context import Context, evaluates
from loratui.core.recommendation import Recommendation

EVALUATIONS = 10
PATIENCE = 3


def keeping(context: Context) -> Iterator[Recommendation]:
    """`evaluation.*`, `saving.*` and `training.seed`."""
    schedule = context.schedule()
    every = max(1, min(schedule.steps_per_epoch, -(-schedule.total_steps // EVALUATIONS))) if evaluates(context) else 0
    yield Recommendation(
        "evaluation.every_steps", every,
        "About ten looks at held-out rows over the run, at least one an epoch." if every else "Nothing is held out.",
        f"min(one epoch = {schedule.steps_per_epoch:,}, {schedule.total_steps:,} steps / {EVALUATIONS})",
        "Early stopping and the signs of overfitting need several points.",
        up="Fewer evaluations, less time.", down="Sees the turning point more exactly.",
    )
    several = schedule.total_steps // every >= PATIENCE + 1 if every else False
    yield Recommendation(
        "evaluation.patience", PATIENCE if several else 0,
        "Stops after three evaluations without a better loss." if several else "Too few evaluations to judge by.",
        "", "The guides' rule: patience 3.", up="More patience with a noisy loss.", down="Stops sooner; 0 never.",
    )
    saves = every or max(1, min(schedule.steps_per_epoch, -(-schedule.total_steps // EVALUATIONS)))
    yield Recommendation(
        "saving.every_steps", saves, "A checkpoint at each evaluation: the best one is never lost.",
        f"= {saves}", "", up="Less disk and time; more is lost if the machine goes.", down="Less is lost.",
    )
    yield Recommendation(
        "saving.keep", 2, "The newest and the one before it.", "", "",
        up="More to choose from; each holds the adapter and the optimizer's states.", down="1: nothing to go back to.",
    )
    yield Recommendation("training.seed", 42, "Any fixed number makes the run repeatable.", "", "")
