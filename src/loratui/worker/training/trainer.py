"""TRL's trainer with the plan's settings."""

from __future__ import annotations

import math
from typing import Any

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


def make_trainer(
    model: Any, tokenizer: Any, config: SFTConfig, train: Any, held_out: Any, peft_config: Any, callbacks: list[TrainerCallback]
) -> Trainer:
    """The trainer, silent but for our callbacks."""
    trainer = Trainer(
        model=model, args=config, train_dataset=train, eval_dataset=held_out, processing_class=tokenizer,
        peft_config=peft_config, callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer
