"""The loss on the held-out rows, weighted by tokens like the training's.

TRL 1.16 takes the mean over the means of batches, so that its figure follows `evaluation.batch_size`: a batch of short
rows counts as much as one of long rows. Here each row gives its sum and its tokens, and rows that accelerate repeats to
fill the last batch of several processes are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from transformers.trainer_utils import EvalLoopOutput
from trl.trainer.sft_trainer import SFTTrainer


class HeldOutLoss(SFTTrainer):
    """SFTTrainer whose evaluation gives the loss and the accuracy of a token, whatever the batches."""

    _held_out: torch.Tensor
    """Sums over the rows so far, in float64: negative log-likelihood, tokens that bear loss, tokens predicted first."""
    held_out_parts: tuple[tuple[str, ...], list[int]] = ((), [])
    """Of a mix: the names of its parts, and the part of each row held out."""
    loss_by_part: Mapping[str, float] = MappingProxyType({})
    """The last evaluation's loss on the rows of each part, weighted by tokens; empty where the plan is no mix."""
    _part_sums: torch.Tensor
    """The same sums for each part."""
    _seen: int
    """Rows so far."""
    _order: torch.Tensor
    """Part of each row, in the order in which they are evaluated."""

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[torch.Tensor, None, None]:
        """One batch: its mean loss for the trainer, and its rows' sums for the figures of the whole."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        figures = torch.stack(
            [-outputs.log_probs.double(), outputs.label_mask.double(), outputs.is_top1.double()], dim=-1
        )
        rows = _sum_rows(figures, inputs.get("position_ids"))
        gathered = self.accelerator.gather_for_metrics(rows).cpu()
        self._held_out += gathered.sum(0)
        if len(self._part_sums):
            self._part_sums.index_add_(0, self._order[self._seen : self._seen + len(gathered)], gathered)
            self._seen += len(gathered)
        nll, tokens, _ = rows.sum(0)
        return (nll / tokens.clamp(min=1)).float(), None, None

    def evaluation_loop(self, *arguments: Any, **options: Any) -> EvalLoopOutput:
        """The evaluation of the held-out rows."""
        self._held_out = torch.zeros(3, dtype=torch.float64)
        names, parts = self.held_out_parts
        self._part_sums, self._seen = torch.zeros(len(names), 3, dtype=torch.float64), 0
        if names:
            rows: Any = self.eval_dataset
            sampler = self._get_eval_sampler(rows)
            order = range(len(parts)) if sampler is None else sampler
            self._order = torch.tensor([parts[at] for at in order], dtype=torch.int64)
        output = super().evaluation_loop(*arguments, **options)
        nll, tokens, first = self._held_out.tolist()
        sums = zip(names, self._part_sums.tolist(), strict=True)
        self.loss_by_part = {name: loss / counted for name, (loss, counted, _) in sums if counted}
        if output.metrics is not None and tokens:
            output.metrics["eval_loss"] = nll / tokens
            self._metrics["eval"]["mean_token_accuracy"] = [first / tokens]
        return output


def _sum_rows(figures: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    """Sums by row, (rows, figures). figures: (batch, tokens - 1, figures) of each next token.

    positions: (1, tokens) where the rows of a batch lie end to end; each row begins at position 0.
    """
    if positions is None or len(positions) != 1:
        return figures.sum(1)
    row = (positions[0] == 0).cumsum(0)[: figures.shape[1]] - 1
    count = int((positions[0] == 0).sum())
    return torch.zeros(count, figures.shape[-1], dtype=figures.dtype, device=figures.device).index_add_(
        0, row, figures[0]
    )
