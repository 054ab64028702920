"""Watching and keeping: rows held out, evaluations, early stopping, checkpoints, seed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core.dataset import held_out_rows
from loratui.core.early_stopping import FEWEST_ROWS
from loratui.core.recommend.context import Context, evaluates
from loratui.core.recommendation import Recommendation
from loratui.core.schedule import times_in

PASSES_OF_A_STEP = 3
"""A trained row costs about three times the operations of an evaluated one: forward, and twice that backward."""
EVALUATIONS = 10
PATIENCE = 3


def _counted(count: int, word: str) -> str:
    return f"One {word}" if count == 1 else f"{count:,} {word}s"


def _share(context: Context, every: int) -> str:
    """The evaluations' part of the run's operations, in words; empty where the held-out rows are not known."""
    schedule, held = context.schedule(), context.data.eval_examples
    if not held:
        return ""
    looks = times_in(schedule.total_steps, every)
    evaluated, trained = (
        looks * held,
        PASSES_OF_A_STEP * schedule.total_steps * min(schedule.effective_batch_size, schedule.sequences),
    )
    return (
        f"; {looks} × {held:,} rows forward only, about {evaluated / max(1, evaluated + trained):.0%} of the run's "
        "operations"
    )


def keeping(context: Context) -> Iterator[Recommendation]:
    """`evaluation.*`, `saving.*` and `training.seed`."""
    schedule = context.schedule()
    every = max(1, min(schedule.steps_per_epoch, -(-schedule.total_steps // EVALUATIONS))) if evaluates(context) else 0
    yield Recommendation(
        "evaluation.every_steps",
        every,
        (
            f"{_counted(times_in(schedule.total_steps, every), 'look')} at the held-out rows over the run, at least "
            "one an epoch."
        )
        if every
        else "Nothing is held out.",
        (
            f"min(one epoch = {schedule.steps_per_epoch:,}, {schedule.total_steps:,} steps / {EVALUATIONS} = "
            f"{every:,}){_share(context, every)}"
        )
        if every
        else "no rows are held out, so there is nothing to evaluate",
        "Early stopping and the signs of overfitting need several points.",
        up="Fewer evaluations, less time.",
        down="Sees the turning point more exactly.",
    )
    every = int(context.get("evaluation.every_steps")) if evaluates(context) else 0
    several = times_in(schedule.total_steps, every) >= PATIENCE + 1
    held = context.data.eval_examples
    few = several and 0 < held < FEWEST_ROWS
    yield Recommendation(
        "evaluation.patience",
        PATIENCE if several else 0,
        f"{_counted(held, 'held-out row')} can tell nothing: it trains to its end, and the best is its result."
        if few
        else "Stops after three evaluations without a better loss, once the held-out rows tell that it is no chance."
        if several
        else "Too few evaluations to judge by."
        if every
        else "Nothing is evaluated, so there is nothing to judge by.",
        (
            f"{times_in(schedule.total_steps, every)} evaluations in {schedule.total_steps:,} steps; {PATIENCE} from "
            f"{PATIENCE + 1} on, else 0"
        ),
        "The guides' rule: patience 3. What is chance: the rows' paired differences, as in Miller 2024 (2411.00640); "
        f"below {FEWEST_ROWS} rows nothing is decided.",
        up="More patience with a noisy loss.",
        down="Stops sooner; 0 never.",
    )
    saves = every or max(1, min(schedule.steps_per_epoch, -(-schedule.total_steps // EVALUATIONS)))
    yield Recommendation(
        "saving.every_steps",
        saves,
        "A checkpoint at each evaluation: the best one is never lost."
        if every
        else (
            f"{_counted(times_in(schedule.total_steps, saves), 'checkpoint')} over the run, at least one an epoch: so "
            "much is kept if the machine goes."
        ),
        f"= evaluation.every_steps = {saves:,}"
        if every
        else f"min(one epoch = {schedule.steps_per_epoch:,}, {schedule.total_steps:,} steps / {EVALUATIONS})",
        "transformers 5.23: what is no checkpoint cannot be gone back to or resumed from.",
        up="Less disk and time; more is lost if the machine goes.",
        down="Less is lost.",
    )
    yield Recommendation(
        "saving.keep",
        2,
        "The newest and the one before it, the best one beside them." if every else "The newest and the one before it.",
        "2 checkpoints + the best by evaluation loss",
        "A checkpoint that is half written when the machine goes is useless: the one before it must be there.",
        up="More to choose from; each holds the adapter and the optimizer's states.",
        down="1: nothing to go back to.",
    )
    yield Recommendation(
        "training.seed",
        42,
        "Any fixed number makes the run repeatable.",
        "adapter's start, order of the rows and dropout are drawn from 42",
        "transformers 5.23 set_seed; no number is better than another.",
        up="Another seed: another order and start. Three seeds show how much of a difference is chance.",
        down="The same: only equality counts.",
    )


USUAL_SHARE = 0.05
ENOUGH_ROWS = 1_000
ROW_SPREAD_NATS = 0.6
"""Standard deviation of a row's mean loss, assumed: the rows of one dataset differ by about so much."""


def standard_error(rows: int) -> float:
    """By how much (in nats, one standard deviation) the mean loss over so many held-out rows may be off by chance."""
    return ROW_SPREAD_NATS / math.sqrt(max(1, rows))


def held_out(context: Context) -> Iterator[Recommendation]:
    """`dataset.eval_fraction`; afterwards the data's parts are those of the share that was decided."""
    data = context.data
    usable = data.usable
    value = USUAL_SHARE if usable * USUAL_SHARE <= ENOUGH_ROWS else float(f"{ENOUGH_ROWS / usable:.2g}")
    rows = data.sides * held_out_rows(usable // data.sides, value)
    if data.eval_taken:
        rows = data.holding_out(value).eval_examples
    error = standard_error(rows)
    unseen = (
        " While training nothing measures it (evaluation.every_steps = 0)."
        if context.pinned.get("evaluation.every_steps") == 0
        else ""
    )
    count, file = int(context.get("dataset.eval_count")), str(context.get("dataset.eval_path"))
    if file and data.supposed:
        why = f"Counts for nothing here: the rows of {file} are there to evaluate on."
    elif data.eval_examples and not data.eval_taken:
        why = f"Counts for nothing here: {data.eval_examples:,} rows of their own are there to evaluate on."
    elif count:
        why = f"Counts for nothing while dataset.eval_count = {count:,} says how many of {usable:,} rows are held out."
    elif not rows:
        yield Recommendation(
            "dataset.eval_fraction",
            0.0,
            "A single row cannot be held out and trained on: nothing is evaluated.",
            f"{usable:,} row; two are needed to hold one out",
            "This project's choice.",
            up="Nothing changes before there is a second row.",
            down="0 is the least.",
        )
        context.data = data.holding_out(0.0)
        return
    elif value < USUAL_SHARE:
        why = (
            f"{rows:,} of {usable:,} rows: their loss is known to about ± {error:.2g}, and more would only make each "
            f"evaluation longer.{unseen}"
        )
    else:
        why = (
            f"One row in twenty, {rows:,} of {usable:,}: their loss is known to about ± "
            f"{error:.2g}{', so only large changes mean anything' if error > 0.1 else ''}.{unseen}"
        )
    yield Recommendation(
        "dataset.eval_fraction",
        value,
        why,
        (
            f"{ROW_SPREAD_NATS:g} nats / √{rows:,} rows = ± {error:.2g}; {USUAL_SHARE:.0%} of {usable:,} rows, at "
            f"most {ENOUGH_ROWS:,} of them"
        ),
        (
            f"Standard error of a mean, as in Miller 2024 (2411.00640). The spread of {ROW_SPREAD_NATS:g} nats "
            "between rows is assumed."
        ),
        up="A surer loss; fewer rows to train on, and each evaluation takes longer.",
        down="More rows to train on; below some hundred rows the loss moves by chance.",
    )
    context.data = data.holding_out(float(context.get("dataset.eval_fraction")), int(context.get("dataset.eval_count")))
