"""TRL's trainers of preferences with the plan's settings and our rows: their losses and figures, our checkpoints,
resume and stops.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer

from loratui.core.plan import Plan
from loratui.core.preferences import holds_copy
from loratui.worker.training.config import DeviceTraits
from loratui.worker.training.preference_config import dpo_config, kto_config, orpo_config
from loratui.worker.training.trainer import Obedient, made_ready

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


class PairTrainer(Preferring, DPOTrainer):
    """DPOTrainer on pairs that come tokenised."""

    reference_columns = ("ref_chosen_logps", "ref_rejected_logps")

    def weights_of(self, inputs: Any) -> tuple[int, int, int]:
        """Pairs of a batch: each has one answer of either kind."""
        pairs = len(inputs["input_ids"]) // 2
        return pairs, pairs, pairs


class JudgedTrainer(Preferring, KTOTrainer):
    """KTOTrainer on answers that come tokenised, shuffled, and in blocks for the KL."""

    reference_columns = ("ref_logps", "ref_KL_logps")

    def weights_of(self, inputs: Any) -> tuple[int, int, int]:
        """Answers of a batch, those that are wanted, and the others."""
        rows, wanted = len(inputs["label"]), int(inputs["label"].sum())
        return rows, wanted, rows - wanted


def make_preference_trainer(
    plan: Plan,
    model: Any,
    tokenizer: Any,
    place: Path,
    device: DeviceTraits,
    train: Any,
    held_out: Any,
    peft_config: Any,
    load_reference: Callable[[], Any],
) -> Preferring:
    """The trainer, silent but for our callbacks. place: of the checkpoints. load_reference: the base model once more;
    asked where the whole model is trained and its reference is computed at each step. An adapter is switched off
    instead; of an adapter that is gone on from, TRL keeps a frozen copy.
    """
    objective, evaluates = plan.training.objective, held_out is not None
    trainer: Preferring
    if objective == "orpo":
        from loratui.worker.training.orpo_trainer import make_orpo_trainer

        config = orpo_config(plan, place, device, evaluates=evaluates)
        trainer = make_orpo_trainer(model, tokenizer, config, train, held_out, peft_config)
    else:
        kind: Any = PairTrainer if objective == "dpo" else JudgedTrainer
        settings = dpo_config if objective == "dpo" else kto_config
        trainer = kind(
            model=model,
            ref_model=load_reference().requires_grad_(False) if holds_copy(plan) else None,
            args=settings(plan, place, device, evaluates=evaluates),
            train_dataset=train,
            eval_dataset=held_out,
            processing_class=tokenizer,
            peft_config=peft_config,
            callbacks=[],
        )
    made_ready(trainer, model)
    trained: Any = trainer.model
    if "ref" in getattr(trained, "peft_config", {}):  # the copy is no result, and a resumed run makes it anew
        trained.save_pretrained = partial(trained.save_pretrained, selected_adapters=["default"])
    return trainer
