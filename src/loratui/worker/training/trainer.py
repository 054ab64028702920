"""TRL's trainer with the plan's settings."""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from loratui.worker.training.signals import EvaluationStoppedError


class Trainer(SFTTrainer):
    """SFTTrainer, less the model card that it would write into every checkpoint; its evaluation can be stopped."""

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """No card: the run's directory says what the model is."""

    def _evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        try:
            return dict(super()._evaluate(*arguments, **options))
        except EvaluationStoppedError:
            self.control.should_evaluate = False
            self.control.should_save = self.control.should_training_stop = True
            return {"eval_loss": math.inf}


def keep_scalable(model: Any) -> None:
    """Hold what is trained in float32: float16's loss scaling cannot unscale 16-bit gradients.

    TRL 1.16 turns the adapter of a quantised model into bfloat16, which a card without it (T4, V100) could not train.
    """
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()


def make_trainer(
    model: Any, tokenizer: Any, config: SFTConfig, train: Any, held_out: Any, peft_config: Any, callbacks: list[TrainerCallback]
) -> Trainer:
    """The trainer, silent but for our callbacks."""
    trainer = Trainer(
        model=model, args=config, train_dataset=train, eval_dataset=held_out, processing_class=tokenizer,
        peft_config=peft_config, callbacks=callbacks,
    )
    if config.fp16:
        keep_scalable(trainer.model)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer
