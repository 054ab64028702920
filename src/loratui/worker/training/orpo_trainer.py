"""TRL's ORPOTrainer with the plan's settings and our rows."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from transformers import set_seed

from loratui.worker.training.known import is_known, known
from loratui.worker.training.later import answered_later, fetch, may_answer_later
from loratui.worker.training.orpo_library import ORPOConfig, ORPOTrainer
from loratui.worker.training.pair_losses import Outputs, rows_of
from loratui.worker.training.preferring import OF_TOKENS, Preferring

OF_MASKS = ("chosen_input_ids", "rejected_input_ids", "chosen_attention_mask", "rejected_attention_mask")
"""Names of what tells where a batch of pairs is padded."""
MASK = "concatenated_attention_mask"
CHOSEN_LOSS = "eval_nll_loss"
"""TRL's name of the loss of question and chosen answer."""


class ReadyRows(torch.utils.data.Dataset[Any]):
    """Tokenised pairs that ORPOTrainer takes as they are: 1.16 would tokenise whatever it is given by `map`."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def map(self, *arguments: Any, **options: Any) -> ReadyRows:
        """The rows are ready."""
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Any:
        return self._rows[number]

    def __getitems__(self, numbers: list[int]) -> Any:
        return self._rows.__getitems__(numbers)


class OddsTrainer(Preferring, ORPOTrainer):
    """ORPOTrainer on pairs that come tokenised. It counts the tokens that it reads, as TRL's other trainers do."""

    _tokens: Any = 0
    """Read so far; between two steps that are told a tensor of the device."""

    @property
    def held_out_figures(self) -> Any:
        """Of the held-out rows so far, by TRL's names."""
        return self._stored_metrics["eval"]

    @staticmethod
    def concatenated_inputs(batch: Any, *arguments: Any, **options: Any) -> Any:
        """Both sides of each pair in one batch; the processor knows where it is padded."""
        found: Any = ORPOTrainer.concatenated_inputs(batch, *arguments, **options)
        if all(is_known(batch[name]) for name in OF_MASKS):
            here: Any = {name: torch.from_numpy(batch[name].numbers) for name in OF_MASKS}
            mask = ORPOTrainer.concatenated_inputs(here)[MASK]
            found[MASK] = known(found[MASK], mask.numpy())
        return found

    def compute_loss(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """The loss of one batch, of which the tokens are counted."""
        for mask in (inputs["chosen_attention_mask"], inputs["rejected_attention_mask"]):
            self._tokens = self._tokens + mask.sum()
        with answered_later(self.accelerator) if may_answer_later(self) else nullcontext():
            return super().compute_loss(model, inputs, *arguments, **options)

    def log(self, logs: dict[str, float], *arguments: Any, **options: Any) -> None:
        """With the tokens read so far."""
        [self._tokens] = fetch(self._stored_metrics["train"], self._tokens)
        if "loss" in logs:
            logs["num_tokens"] = self._tokens
        super().log(logs, *arguments, **options)

    def weight_of(self, name: str, inputs: Any) -> int:
        """Pairs of a batch, each with one answer of either kind; of its own loss the tokens that are predicted."""
        if name == CHOSEN_LOSS:
            return int(inputs["chosen_attention_mask"][:, 1:].sum())
        return len(inputs["chosen_input_ids"])

    def parts_of_pairs(self, outputs: list[Any], inputs: Any) -> list[dict[str, tuple[float, int]]]:
        """TRL's loss of each pair."""
        pairs = len(inputs["chosen_input_ids"])
        if len(outputs) != 1:
            return []
        found, kept = [], list(self.held_out_figures[CHOSEN_LOSS])
        for at in range(pairs):
            own = {name: rows_of(value, [at], pairs) for name, value in inputs.items()}
            stand_in: Any = Outputs(outputs[0], [at, pairs + at], 2 * pairs)
            loss, figures = self.get_batch_loss_metrics(stand_in, own, train_eval="eval")
            self.held_out_figures[CHOSEN_LOSS] = [figures[CHOSEN_LOSS]]
            found.append(self.loss_parts(float(loss), own))
        self.held_out_figures[CHOSEN_LOSS] = kept
        return found

    def loss_parts(self, loss: float, inputs: Any) -> dict[str, tuple[float, int]]:
        """The loss of question and chosen answer is a mean over tokens, that of the odds one over pairs."""
        learnt = self.held_out_figures[CHOSEN_LOSS][-1]
        return {
            "loss": (loss - learnt, self.weight_of("loss", inputs)),
            OF_TOKENS: (learnt, self.weight_of(CHOSEN_LOSS, inputs)),
        }


def with_adapter(model: Any, peft_config: Any, seed: int) -> Any:
    """The model with a new adapter, drawn as TRL draws it. TRL's own way with a quantised base would turn all that is
    not quantised into float32, and the adapter into bfloat16.
    """
    from peft import get_peft_model

    set_seed(seed)
    return get_peft_model(model, peft_config)


def make_orpo_trainer(
    model: Any, tokenizer: Any, config: ORPOConfig, train: Any, held_out: Any, peft_config: Any
) -> OddsTrainer:
    """The trainer as the libraries make it, with their callbacks."""
    return OddsTrainer(
        model=model if peft_config is None else with_adapter(model, peft_config, config.seed),
        args=config,
        train_dataset=ReadyRows(train),
        eval_dataset=None if held_out is None else ReadyRows(held_out),
        processing_class=tokenizer,
        callbacks=[],
    )
