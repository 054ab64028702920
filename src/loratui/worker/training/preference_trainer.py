"""TRL's DPOTrainer with the plan's settings and our rows: its loss and figures, our checkpoints, resume and stops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from loratui.core.plan import Plan
from loratui.worker.training.trainer import Obedient, made_ready


class PreferenceTrainer(Obedient, DPOTrainer):
    """DPOTrainer on pairs that come tokenised; its evaluation weighs every pair alike, whatever the batches."""

    _held_out: dict[str, float]
    """Sums over the held-out pairs so far."""
    _pairs = 0
    """Held-out pairs so far."""

    def _prepare_dataset(self, dataset: Any, *arguments: Any) -> Any:
        """The pairs come tokenised, and cut."""
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """The reference's log-probabilities as columns beside the pairs; TRL 1.16 would write every row's tokens into
        a cache of its own.
        """
        loader = DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator, shuffle=False)
        found: list[list[torch.Tensor]] = [[], []]
        for batch in self.accelerator.prepare(loader):
            sides = self.compute_ref_log_probs(self.model, batch)  # type: ignore[no-untyped-call]
            for kept, figures in zip(found, sides, strict=True):
                kept.append(figures.float().cpu())
        chosen, rejected = (torch.cat(one).tolist() for one in found)
        transform = dataset.format["format_kwargs"]["transform"]
        with_logps = dataset.with_format(None)
        with_logps = with_logps.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)
        with_logps.set_transform(transform)
        return with_logps

    def prediction_step(self, *arguments: Any, **options: Any) -> Any:
        """One batch: its loss, and its figures weighted by its pairs."""
        inputs = arguments[1]
        found = super().prediction_step(*arguments, **options)
        pairs = len(inputs["input_ids"]) // 2
        figures = {name: values[-1] for name, values in self._metrics["eval"].items()} | {"loss": float(found[0])}
        for name, value in figures.items():
            self._held_out[name] += value * pairs
        self._pairs += pairs
        return found

    def evaluation_loop(self, *arguments: Any, **options: Any) -> EvalLoopOutput:
        """The evaluation of the held-out pairs."""
        self._held_out, self._pairs = defaultdict(float), 0
        output = super().evaluation_loop(*arguments, **options)
        if self._pairs:
            means = {name: value / self._pairs for name, value in self._held_out.items()}
            loss = means.pop("loss")
            if output.metrics is not None:
                output.metrics["eval_loss"] = loss
            self._metrics["eval"].update({name: [value] for name, value in means.items() if name != "num_tokens"})
        return output


def make_preference_trainer(
    plan: Plan,
    model: Any,
    tokenizer: Any,
    config: DPOConfig,
    train: Any,
    held_out: Any,
    peft_config: Any,
    load_reference: Callable[[], Any],
) -> PreferenceTrainer:
    """The trainer, silent but for our callbacks. load_reference: the base model once more; asked where the whole model
    is trained and its reference is computed at each step. An adapter is switched off instead; of an adapter that is
    gone on from, TRL keeps a frozen copy.
    """
    beside = plan.method.kind == "full" and plan.preference.reference == "each-step"
    trainer = PreferenceTrainer(
        model=model,
        ref_model=load_reference().requires_grad_(False) if beside else None,
        args=config,
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
