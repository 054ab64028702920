"""The two ways in which the rows of a batch can lie, padded or end to end, timed beside each other in the rehearsal.

Both compute the same, so that a run may change from one to the other at any step. Which is faster depends on the rows,
the attention and the device: end to end nothing is padded, but where the attention needs a mask to keep the rows apart
it costs the square of the batch.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from loratui.core.plan import Plan
from loratui.core.preferences import is_preference
from loratui.worker.tokenised import IGNORED
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.failure import is_out_of_memory
from loratui.worker.training.known import known_batch

log = logging.getLogger("loratui")
BATCHES = 3
"""Batches that are timed, spread over the lengths."""
PASSES = 2
"""Timed passes (forward and backward) over each, of which the quicker one counts, after one that warms up."""
LOSS_TOLERANCE = {"fp32": 1e-4, "bf16": 5e-3, "fp16": 5e-3}
"""Relative difference of the losses from which rows are taken to see each other; what rounding makes is a tenth of
it."""

Ways = dict[str, float]
"""Content tokens a second (padding not counted) by way: `padded`, `end_to_end`."""


def can_choose(plan: Plan, processes: int) -> bool:
    """Whether there are two ways: of rows that are packed, or alone in their pass, none is padded, and eager attention
    is not asked to keep rows apart. TRL lays no pairs end to end. Of several processes each would have to find the
    same.
    """
    training = plan.training
    several = training.batch_size > 1 and not training.packing and not is_preference(plan)
    return several and plan.model.attention != "eager" and processes == 1


def measure(trainer: Any, prepared: Prepared, plan: Plan) -> Ways:
    """Time both ways on batches like those of the run, at the weights of now; nothing is learnt.

    A way that does not fit into memory is left out, and end to end also where the rows are not kept apart (its loss is
    another), as in models that carry a state from token to token.
    """
    dataset = prepared.train.as_dataset()
    batches = [[dataset[at] for at in rows] for rows in typical_batches(prepared, plan)]
    tokens = sum(len(row["input_ids"]) for rows in batches for row in rows)
    found: Ways = {}
    losses: dict[str, float] = {}
    for name, end_to_end in (("padded", False), ("end_to_end", True)):
        collator = replace(trainer.data_collator, padding_free=end_to_end)
        try:
            losses[name] = _loss(trainer, [collator(rows) for rows in batches])
            seconds = sum(_seconds(trainer, collator, rows) for rows in batches)
        except Exception as error:  # of the way that is not planned nothing may end a run
            if not is_out_of_memory(error) and end_to_end == plan.training.padding_free:
                raise
            log.warning("batches whose rows are %s could not be timed: %s", name.replace("_", " "), error)
            continue
        finally:
            trainer.model.zero_grad(set_to_none=True)
        found[name] = round(tokens / seconds, 1)
    if set(losses) == {"padded", "end_to_end"}:
        apart = abs(losses["end_to_end"] / losses["padded"] - 1)
        if apart > LOSS_TOLERANCE[plan.training.precision]:
            log.warning("rows that lie end to end are not kept apart: their loss differs by %.1g", apart)
            found.pop("end_to_end", None)
    return found


def typical_batches(prepared: Prepared, plan: Plan) -> list[list[int]]:
    """Numbers of the rows of a few batches as the run makes them: of like length, short, middle and long ones, where
    rows are grouped; else drawn at random.
    """
    lengths, size = prepared.train.lengths.tolist(), plan.training.batch_size
    order = list(range(len(lengths)))
    if plan.training.group_by_length:
        order.sort(key=lengths.__getitem__)
    else:
        random.Random(plan.training.seed).shuffle(order)
    return list(_spread(order, size))


def _spread(order: Sequence[int], size: int) -> Iterator[list[int]]:
    count = min(BATCHES, max(1, len(order) // size))
    for number in range(count):
        middle = len(order) * (2 * number + 1) // (2 * count)
        first = max(0, min(middle - size // 2, len(order) - size))
        yield list(order[first : first + size])


def _loss(trainer: Any, batches: list[dict[str, Any]]) -> float:
    """Mean over the batches of the loss of a token."""
    trainer._held_out = []
    trainer.model.eval()
    return sum(float(trainer.prediction_step(trainer.model, batch, True)[0]) for batch in batches) / len(batches)


def _seconds(trainer: Any, collator: Any, rows: list[dict[str, Any]]) -> float:
    """Seconds of the quicker one of the timed passes over a batch."""
    times = []
    for _ in range(1 + PASSES):
        batch = known_batch(collator(rows))
        count = (batch["labels"] != IGNORED).sum().to(trainer.args.device)
        _wait()
        began = time.perf_counter()
        trainer.training_step(trainer.model, batch, num_items_in_batch=count)
        _wait()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _wait() -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
