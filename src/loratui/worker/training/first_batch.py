"""A run's first batch, on which other kernels are tried beside the plain ones before anything is learnt."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import torch

from loratui.core.plan import Plan
from loratui.worker.training.trainer import chance, set_chance

FIGURES = ("_passes", "_metrics", "_stored_metrics", "_total_train_tokens", "_tokens")
"""What TRL's trainers and ours note of each pass."""
LOSS_SCALE = 2.0**10
"""By which a loss is multiplied in float16, whose small gradients would be lost."""


class FirstBatch:
    """Passes over the first batch. Nothing is learnt: after `as_before`, gradients, figures and chance are as they
    were.
    """

    def __init__(self, trainer: Any, plan: Plan) -> None:
        self.trainer = trainer
        self.chance = chance()
        self.figures = {name: copy.deepcopy(vars(trainer)[name]) for name in FIGURES if name in vars(trainer)}
        self.batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        self.scale = LOSS_SCALE if plan.training.precision == "fp16" else 1.0

    def one_pass(
        self, parts: Sequence[dict[str, Any]] = (), labels: int | None = None
    ) -> tuple[float, list[torch.Tensor]]:
        """Seconds of a forward and backward pass, and the gradients; each draws the same numbers of chance.

        parts: what is passed instead of the batch, one after another; their gradients are summed. labels: tokens that
        bear loss in all of them together.
        """
        set_chance(self.chance)
        trainer, model = self.trainer, self.trainer.model
        model.train()
        model.zero_grad(set_to_none=True)
        _wait()
        counted = {} if labels is None else {"num_items_in_batch": labels}
        began = time.perf_counter()
        for part in [trainer._prepare_inputs(part) for part in parts] or [self.batch]:
            with trainer.accelerator.autocast(), trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, dict(part), **counted)
            (loss * self.scale).backward()
        _wait()
        took = time.perf_counter() - began
        # no copies: the next pass makes gradients of its own
        return took, [one.grad.detach() for one in model.parameters() if one.grad is not None]

    def quicker_pass(self) -> tuple[float, list[torch.Tensor]]:
        """The quicker one of two, after one that warms up."""
        self.one_pass()
        return min((self.one_pass() for _ in range(2)), key=itemgetter(0))

    def as_before(self) -> None:
        """Put everything back that passes move."""
        self.trainer.model.zero_grad(set_to_none=True)
        vars(self.trainer).update(self.figures)
        set_chance(self.chance)


def apart(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    """Norm of the difference of all gradients together over their norm. wanted: here, or in the host's memory."""
    if [one.shape for one in found] != [one.shape for one in wanted]:
        return float("inf")
    pairs = ((one, other.to(one.device)) for one, other in zip(found, wanted, strict=True))
    squares = [((one.float() - other.float()).square().sum(), other.float().square().sum()) for one, other in pairs]
    difference, whole = (torch.stack(side).sum().sqrt() for side in zip(*squares, strict=True))
    return float(difference / whole) if float(whole) else float("inf") if float(difference) else 0.0


def _wait() -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
