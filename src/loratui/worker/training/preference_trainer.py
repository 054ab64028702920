"""TRL's trainers of preferences with the plan's settings and our rows: their losses and figures, our checkpoints,
resume and stops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer

from loratui.core.plan import Plan
from loratui.core.preferences import holds_copy
from loratui.worker.training.config import DeviceTraits
from loratui.worker.training.preference_config import dpo_config, kto_config, orpo_config
from loratui.worker.training.preferring import Preferring
from loratui.worker.training.trainer import made_ready


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
