"""TRL's trainers of preferences with the plan's settings and our rows: their losses and figures, our checkpoints,
resume and stops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import EvalLoopOutput
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer

from loratui.core.plan import Plan
from loratui.core.preferences import holds_copy, share_in_order
from loratui.runs.row_losses import RowLosses
from loratui.worker.tokenised import IGNORED
from loratui.worker.training.config import DeviceTraits
from loratui.worker.training.later import answered_later, fetch, may_answer_later
from loratui.worker.training.pair_losses import Outputs, rows_of
from loratui.worker.training.preference_config import dpo_config, kto_config, orpo_config
from loratui.worker.training.preferring import CHOSEN, OF_TOKENS, REJECTED, Preferring
from loratui.worker.training.trainer import made_ready

TOKEN_ACCURACY = "mean_token_accuracy"
"""TRL's name of the share of the chosen answers' tokens that the model holds for the likeliest."""


class ToldLater(Preferring):
    """What TRL's DPO and KTO share here: their figures stay on the device until the step is told."""

    _metrics: Any
    _total_train_tokens: Any

    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        """The loss of one batch."""
        if not may_answer_later(self):
            return super().compute_loss(*arguments, **options)
        with answered_later(self.accelerator):
            loss: Any = super().compute_loss(*arguments, **options)
        return loss.as_subclass(torch.Tensor)  # KTO's has a gathered figure in it, the KL

    def log(self, *arguments: Any, **options: Any) -> None:
        """Tell a step, or an evaluation."""
        [self._total_train_tokens] = fetch(self._metrics["train"], self._total_train_tokens)
        super().log(*arguments, **options)


class PairTrainer(ToldLater, DPOTrainer):
    """DPOTrainer on pairs that come tokenised."""

    reference_columns = ("ref_chosen_logps", "ref_rejected_logps")

    def weight_of(self, name: str, inputs: Any) -> int:
        """Pairs of a batch, each with one answer of either kind; of what tokens tell, those of the chosen answers."""
        pairs = len(inputs["input_ids"]) // 2
        return int(inputs["completion_mask"][:pairs, 1:].sum()) if name == TOKEN_ACCURACY else pairs

    def parts_of_pairs(self, outputs: list[Any], inputs: Any) -> list[dict[str, tuple[float, int]]]:
        """TRL's loss of each pair, with the reference's log-probabilities as if they had been computed before. Not
        known where tokens beyond the shorter answer are weighted.
        """
        precomputed, rows = self.precompute_ref_logps, len(inputs["input_ids"])
        if len(outputs) != (1 if precomputed else 2) or self.ld_alpha is not None:
            return []
        pairs, kept = rows // 2, {name: list(values) for name, values in self.held_out_figures.items()}
        if not precomputed:
            width = inputs["completion_mask"].shape[1] - 1
            known = outputs[1].log_probs[:, -width:].sum(dim=1).chunk(2)
            inputs = {**inputs, **dict(zip(self.reference_columns, known, strict=True))}
        found = []
        self.precompute_ref_logps = True
        try:
            for at in range(pairs):
                both = [at, pairs + at]
                own = {
                    name: value[[at]] if name in self.reference_columns else rows_of(value, both, rows)
                    for name, value in inputs.items()
                }
                stand_in: Any = Outputs(outputs[0], both, rows)
                loss = self._compute_loss(stand_in, own, return_outputs=False)  # type: ignore[no-untyped-call]
                found.append(self.loss_parts(float(loss), own))
        finally:
            self.precompute_ref_logps = precomputed
            self.held_out_figures.clear()
            self.held_out_figures.update(kept)
        return found

    def loss_parts(self, loss: float, inputs: Any) -> dict[str, tuple[float, int]]:
        """The SFT loss beside the pairs' is a mean over the chosen answers' tokens. Where tokens beyond the shorter
        answer are weighted as well, TRL tells no sum of it, and all of the loss counts by pairs.
        """
        pairs, tokens = self.weight_of("loss", inputs), self.weight_of(TOKEN_ACCURACY, inputs)
        share = dict(zip(self.loss_types, self.loss_weights, strict=True)).get("sft", 0.0)
        if not share or self.ld_alpha is not None:
            return {"loss": (loss, pairs)}
        learnt = -share * self.held_out_figures["logps/chosen"][-1] * pairs / tokens
        return {"loss": (loss - learnt, pairs), OF_TOKENS: (learnt, tokens)}


class JudgedTrainer(ToldLater, KTOTrainer):
    """KTOTrainer on answers that come tokenised, shuffled, and in blocks for the KL.

    Its evaluation takes the KL as the mean over all held-out rows, where TRL takes that of each batch: a loss that
    follows `evaluation.batch_size` could not be compared. The routers' loss of a mixture of experts is no part of it.
    """

    reference_columns = ("ref_logps", "ref_KL_logps")
    _losses: torch.Tensor | None = None
    """Of each held-out answer, once all are known."""
    _answers: list[torch.Tensor]
    """Of each batch, one column an answer: whether it is wanted, its log-probability, how far that is above the
    reference's, and the same of the answer to another question (0 where no KL is estimated).
    """

    def prediction_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """One batch, of which every answer's log-probabilities are kept: figures are made of all of them together."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            logps = answer_logps(model, inputs)
            beside = answer_logps(model, inputs, "KL_") if self.calculate_KL else torch.zeros_like(logps)
            if self.precompute_ref_logps:
                known, known_beside = inputs["ref_logps"], inputs.get("ref_KL_logps")
            else:
                reference = self.model if self.ref_model is None else self.ref_model
                known, known_beside = self.compute_ref_log_probs(reference, inputs)  # type: ignore[no-untyped-call]
        above = beside - known_beside if self.calculate_KL else beside
        found = torch.stack([inputs["label"].to(logps.dtype), logps, logps - known, above])
        self._answers.append(self.accelerator.gather_for_metrics(found.T).T.double().cpu())
        return torch.zeros((), device=logps.device), None, None

    def evaluation_loop(self, *arguments: Any, **options: Any) -> EvalLoopOutput:
        """The evaluation of the held-out rows."""
        self._answers, self._losses = [], None
        return super().evaluation_loop(*arguments, **options)

    def losses_of_rows(self) -> RowLosses | None:
        """The loss of each answer."""
        return None if self._losses is None else RowLosses.of(self._losses.tolist(), [1] * len(self._losses))

    def figures_of_all(self) -> dict[str, float]:
        """Of all held-out answers, by TRL's names, and how wanted and unwanted ones are ordered."""
        if not self._answers:
            return {}
        label, logps, ratios, above = torch.cat(self._answers, dim=1)
        wanted, rewards = label > 0, self.beta * ratios
        kl = above.mean().clamp(min=0) if self.calculate_KL else torch.zeros(())
        gained = rewards - self.beta * kl
        losses = torch.where(
            wanted,
            self.desirable_weight * torch.sigmoid(-gained),  # 1 - sigmoid(x) is sigmoid(-x)
            self.undesirable_weight * torch.sigmoid(gained),
        )
        self._losses = losses
        figures = {"loss": losses.mean(), "kl": kl}
        for kind, these in ((CHOSEN, wanted), (REJECTED, ~wanted)):
            if these.any():
                figures |= {f"rewards{kind}": rewards[these].mean(), f"logps{kind}": logps[these].mean()}
        if wanted.any() and not wanted.all():
            order = share_in_order(rewards[wanted].tolist(), rewards[~wanted].tolist())
            figures["rewards/accuracies"] = torch.tensor(order, dtype=torch.float64)
        return {name: float(figure) for name, figure in figures.items()}


def answer_logps(model: Any, inputs: Any, kind: str = "") -> torch.Tensor:
    """Log-probability of each answer of a batch. kind: KL_ for those to other questions."""
    ids, mask = inputs[f"{kind}input_ids"], inputs[f"{kind}attention_mask"]
    labels = ids.masked_fill(inputs[f"{kind}completion_mask"] == 0, IGNORED)
    found: torch.Tensor = model(
        input_ids=ids, attention_mask=mask, labels=labels, use_cache=False, fused_lm_head=True
    ).log_probs
    return found.float().sum(-1)


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
