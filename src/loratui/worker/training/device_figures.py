"""A step's figures, fetched from the device once a step.

TRL 1.16 asks the device for five numbers in every forward pass (entropy, accuracy, tokens), and each answer waits until
all that was begun is done: nothing more is queued meanwhile. Here they stay on the device until the step is told.
"""

from __future__ import annotations

from typing import Any

import torch
from trl.trainer.sft_trainer import SFTTrainer


class DeviceFigures(SFTTrainer):
    """SFTTrainer that gives the same loss and the same figures, and waits for the device only to tell a step."""

    _passes: list[torch.Tensor]
    """Of each forward pass since the last step was told: tokens that bear loss, entropy, tokens predicted first, and
    all tokens that are no padding, (4,)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._passes = []
        super().__init__(*arguments, **options)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of one pass, as TRL's own where `loss_type` is nll; what else there is goes TRL's way."""
        if return_outputs or self.aux_loss_enabled or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        outputs = model(**{**inputs, "use_cache": False}, fused_lm_head=True)
        valid = outputs.label_mask.sum()
        counted = valid if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
        loss = (-outputs.log_probs).sum() / counted.clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # of the tokens of all ranks; DDP averages the gradients
        figures = (valid, outputs.entropy.detach().sum(), outputs.is_top1.sum(), _tokens(inputs))
        self._passes.append(torch.stack([figure.to(loss.device, torch.float32) for figure in figures]))
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell a step, or an evaluation."""
        if self._passes:
            self._fetch()
        super().log(logs, start_time)

    def _fetch(self) -> None:
        """All passes of the step in one transfer, summed over the processes."""
        sums = torch.stack(self._passes)
        self._passes = []
        if self.accelerator.num_processes > 1:
            sums = self.accelerator.gather(sums).view(-1, *sums.shape).sum(0)
        valid, entropy, first, tokens = sums.unbind(1)
        shares = torch.stack([entropy, first]) / valid.clamp(min=1)
        entropies, accuracies, counts = torch.cat([shares, tokens[None]]).tolist()
        kept = self._metrics["train"]
        kept["entropy"] += entropies
        kept["mean_token_accuracy"] += accuracies
        self._total_train_tokens += round(sum(counts))
        kept["num_tokens"] = [self._total_train_tokens]


def _tokens(inputs: dict[str, Any]) -> torch.Tensor:
    """Tokens of a batch that are no padding; rows that lie end to end have none."""
    if "attention_mask" in inputs:
        return torch.as_tensor(inputs["attention_mask"].sum())
    positions = inputs["position_ids"]
    return torch.full((), positions.size(1), device=positions.device)
