"""The loss on the held-out rows, weighted by tokens like the training's.

TRL 1.16 takes the mean over the means of batches, so that its figure follows `evaluation.batch_size`: a batch of short
rows counts as much as one of long rows. Here each row gives its sum and its tokens, and rows that accelerate repeats to
fill the last batch of several processes are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from transformers.trainer_utils import EvalLoopOutput
from trl.trainer.sft_trainer import SFTTrainer

from loratui.runs.row_losses import RowLosses


class HeldOutLoss(SFTTrainer):
    """SFTTrainer whose evaluation gives the loss and the accuracy of a token, whatever the batches."""

    row_losses: RowLosses | None = None
    """What each row lost in the last evaluation, in the dataset's order; its pieces together where it was divided."""
    held_out_rows: Sequence[int] = ()
    """Of each sequence held out the number of its row, from 0 and none left out."""
    held_out_parts: tuple[tuple[str, ...], list[int]] = ((), [])
    """Of a mix: the names of its parts, and the part of each row held out."""
    loss_by_part: Mapping[str, float] = MappingProxyType({})
    """The last evaluation's loss on the rows of each part, weighted by tokens; empty where the plan is no mix."""
    _held_out: list[torch.Tensor]
    """Sums of the rows so far, in float64: negative log-likelihood, tokens that bear loss, tokens predicted first."""

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
        self._held_out.append(self.accelerator.gather_for_metrics(rows).cpu())
        nll, tokens, _ = rows.sum(0)
        return (nll / tokens.clamp(min=1)).float(), None, None

    def evaluation_loop(self, *arguments: Any, **options: Any) -> EvalLoopOutput:
        """The evaluation of the held-out rows."""
        self._held_out, self.row_losses, self.loss_by_part = [], None, {}
        output = super().evaluation_loop(*arguments, **options)
        rows = torch.cat(self._held_out) if self._held_out else torch.zeros(0, 3, dtype=torch.float64)
        self._held_out = []
        nll, tokens, first = rows.sum(0).tolist()
        order = self._eval_order(len(rows))
        if order is not None:
            placed = torch.empty_like(rows)
            placed[order] = rows
            self.row_losses = _by_row(placed, self.held_out_rows)
            names, parts = self.held_out_parts
            sums = torch.zeros(len(names), 3, dtype=torch.float64)
            if names:
                sums.index_add_(0, torch.tensor(parts), placed)
            self.loss_by_part = {
                name: loss / of for name, (loss, of, _) in zip(names, sums.tolist(), strict=True) if of
            }
        if output.metrics is not None and tokens:
            output.metrics["eval_loss"] = nll / tokens
            self._metrics["eval"]["mean_token_accuracy"] = [first / tokens]
        return output

    def _eval_order(self, count: int) -> list[int] | None:
        """The rows' places in the dataset, in the order in which they were evaluated; None where nobody knows it."""
        rows: Any = self.eval_dataset
        return list(range(count)) if rows is not None and count == len(rows) else None


def _by_row(sequences: torch.Tensor, rows: Sequence[int]) -> RowLosses:
    """Pieces of a row are no rows of their own: what one of them finds hard, the others do, too."""
    if len(rows) == len(sequences):
        sums = torch.zeros(max(rows, default=-1) + 1, sequences.shape[1], dtype=sequences.dtype)
        sequences = sums.index_add_(0, torch.tensor(rows, dtype=torch.long), sequences)
    return RowLosses.of(sequences[:, 0].tolist(), sequences[:, 1].tolist())


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
