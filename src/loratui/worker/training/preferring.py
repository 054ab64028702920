"""What TRL's trainers of preferences share here: rows that come tokenised, a reference beside them, and an
evaluation that weighs every row alike.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput

from loratui.runs.row_losses import RowLosses
from loratui.worker.training.pair_losses import heard
from loratui.worker.training.trainer import Obedient

CHOSEN, REJECTED = "/chosen", "/rejected"
"""How TRL's names of figures end that are means over the answers of one kind."""
OF_TOKENS = "loss of tokens"
"""The part of a loss that is a mean over tokens, beside the one over rows."""


class Preferring(Obedient):
    """What TRL's trainers of preferences share here: the rows come tokenised, and an evaluation weighs every held-out
    row alike, whatever the batches.
    """

    reference_columns: tuple[str, ...] = ()
    """Names of the reference's log-probabilities beside the rows, in the order in which they are computed."""
    row_losses: RowLosses | None = None
    """What the rows lost in the last evaluation; None where several processes have a share of them each."""
    _held_out: dict[str, list[tuple[float, int]]]
    """Of each figure its value in each batch, and how many rows or tokens it is a mean of."""
    _pairs: list[dict[str, tuple[float, int]]]
    """Of each row what its loss is the sum of."""

    def _prepare_dataset(self, dataset: Any, *arguments: Any) -> Any:
        """The rows come tokenised, and cut."""
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """The reference's log-probabilities as columns beside the rows; TRL 1.16 would write every row's tokens into
        a cache of its own.
        """
        loader = DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator, shuffle=False)
        found: list[list[torch.Tensor]] = [[] for _ in self.reference_columns]
        own: Any = self
        for batch in self.accelerator.prepare(loader):
            for kept, figures in zip(found, own.compute_ref_log_probs(self.model, batch), strict=True):
                if figures is not None:
                    kept.append(figures.float().cpu())
        transform = dataset.format["format_kwargs"]["transform"]
        with_logps = dataset.with_format(None)
        for column, figures in zip(self.reference_columns, found, strict=True):
            if figures:
                with_logps = with_logps.add_column(column, torch.cat(figures).tolist())
        with_logps.set_transform(transform)
        return with_logps

    @property
    def held_out_figures(self) -> Any:
        """Of the held-out rows so far, by TRL's names."""
        own: Any = self
        return own._metrics["eval"]

    def weight_of(self, name: str, inputs: Any) -> int:
        """How many rows, answers of a kind, or tokens of a batch this figure is a mean of."""
        raise NotImplementedError

    def loss_parts(self, loss: float, inputs: Any) -> dict[str, tuple[float, int]]:
        """What a batch's loss is the sum of: means, each with how many rows or tokens it is one of. The figures of the
        batch are the last of `held_out_figures`.
        """
        return {"loss": (loss, self.weight_of("loss", inputs))}

    def prediction_step(self, *arguments: Any, **options: Any) -> Any:
        """One batch: its loss, and its figures with what they are means of."""
        inputs = arguments[1]
        with heard(self.model, getattr(self, "ref_model", None)) as outputs:
            found: Any = super().prediction_step(*arguments, **options)
        for name, part in self.loss_parts(float(found[0]), inputs).items():
            self._held_out[name].append(part)
        for name, values in self.held_out_figures.items():
            self._held_out[name].append((values[-1], self.weight_of(name, inputs)))
        with torch.no_grad():
            self._pairs += self.parts_of_pairs(outputs, self._prepare_inputs(inputs))
        self.held_out_figures.clear()
        return found

    def figures_of_all(self) -> dict[str, float]:
        """The figures of all held-out rows together, their loss among them."""
        means = {
            name: sum(value * weight for value, weight in values) / total
            for name, values in self._held_out.items()
            if (total := sum(weight for _, weight in values))
        }
        if OF_TOKENS in means:
            means["loss"] += means.pop(OF_TOKENS)
        return means

    def parts_of_pairs(self, outputs: list[Any], inputs: Any) -> list[dict[str, tuple[float, int]]]:
        """What the loss of each row of a batch is the sum of, as `loss_parts` tells it of the whole. outputs: what the
        models gave for the batch. Empty where that cannot be told row by row.
        """
        return []

    def losses_of_rows(self) -> RowLosses | None:
        """The loss of each row; None where it is not known of all. A part that is a mean over tokens counts as much as
        it does in the whole.
        """
        rows, whole = self._pairs, sum(number for _, number in self._held_out.get("loss", []))
        if not rows or len(rows) != whole:
            return None
        tokens = sum(row[OF_TOKENS][1] for row in rows if OF_TOKENS in row)
        found = []
        for row in rows:
            loss, number = row.get(OF_TOKENS, (0.0, 0))
            found.append(row["loss"][0] + (loss * number * whole / tokens if tokens else 0.0))
        return RowLosses.of(found, [1] * whole)

    def evaluation_loop(self, *arguments: Any, **options: Any) -> EvalLoopOutput:
        """The evaluation of the held-out rows."""
        self._held_out, self._pairs, self.row_losses = defaultdict(list), [], None
        output = super().evaluation_loop(*arguments, **options)
        figures = self.figures_of_all()
        self.row_losses = self.losses_of_rows() if self.args.world_size == 1 else None
        loss = figures.pop("loss", None)
        if output.metrics is not None and loss is not None:
            output.metrics["eval_loss"] = loss
        for prefix in ("", "eval_"):  # ORPOTrainer has it in the names
            sides = [figures.get(f"{prefix}rewards{kind}") for kind in (CHOSEN, REJECTED)]
            if sides[0] is not None and sides[1] is not None:
                figures[f"{prefix}rewards/margins"] = sides[0] - sides[1]
        self.held_out_figures.update({name: [value] for name, value in figures.items() if name != "num_tokens"})
        return output
