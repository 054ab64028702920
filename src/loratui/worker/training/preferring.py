"""What TRL's trainers of preferences share here: rows that come tokenised, a reference beside them, and an
evaluation that weighs every row alike.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput

from loratui.worker.training.trainer import Obedient

CHOSEN, REJECTED = "/chosen", "/rejected"
"""How TRL's names of figures end that are means over the answers of one kind."""


class Preferring(Obedient):
    """What TRL's trainers of preferences share here: the rows come tokenised, and an evaluation weighs every held-out
    row alike, whatever the batches.
    """

    reference_columns: tuple[str, ...] = ()
    """Names of the reference's log-probabilities beside the rows, in the order in which they are computed."""
    _held_out: dict[str, list[tuple[float, int]]]
    """Of each figure its value in each batch, and the rows that it is a mean of."""

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

    def weights_of(self, inputs: Any) -> tuple[int, int, int]:
        """Rows of a batch, chosen answers and rejected ones."""
        raise NotImplementedError

    def prediction_step(self, *arguments: Any, **options: Any) -> Any:
        """One batch: its loss, and its figures with the rows that they are means of."""
        rows, chosen, rejected = self.weights_of(arguments[1])
        found: Any = super().prediction_step(*arguments, **options)
        for name, values in self.held_out_figures.items():
            weight = chosen if name.endswith(CHOSEN) else rejected if name.endswith(REJECTED) else rows
            self._held_out[name].append((values[-1], weight))
        self.held_out_figures.clear()
        self._held_out["loss"].append((float(found[0]), rows))
        return found

    def evaluation_loop(self, *arguments: Any, **options: Any) -> EvalLoopOutput:
        """The evaluation of the held-out rows."""
        self._held_out = defaultdict(list)
        output = super().evaluation_loop(*arguments, **options)
        means = {
            name: sum(value * weight for value, weight in values) / total
            for name, values in self._held_out.items()
            if (total := sum(weight for _, weight in values))
        }
        loss = means.pop("loss", None)
        if output.metrics is not None and loss is not None:
            output.metrics["eval_loss"] = loss
        for prefix in ("", "eval_"):  # ORPOTrainer has it in the names
            sides = [means.get(f"{prefix}rewards{kind}") for kind in (CHOSEN, REJECTED)]
            if sides[0] is not None and sides[1] is not None:
                means[f"{prefix}rewards/margins"] = sides[0] - sides[1]
        self.held_out_figures.update({name: [value] for name, value in means.items() if name != "num_tokens"})
        return output
